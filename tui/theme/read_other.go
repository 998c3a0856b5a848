//go:build !unix

package theme

import (
	"os"
	"time"
)

// readFor reads nothing: a console cannot be read with a deadline here.
func readFor(*os.File, time.Duration, func(string) bool) string { return "" }
