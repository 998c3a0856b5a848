//go:build !embedded

package inside

import "embed"

var built embed.FS
