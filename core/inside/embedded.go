//go:build embedded

package inside

import "embed"

// If this does not compile, run `go run ./deploy/toolbox`, or build with `make build`.
//
//go:embed built/*.gz
var built embed.FS
