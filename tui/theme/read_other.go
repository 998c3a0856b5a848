//go:build !unix

package theme

import (
	"os"
	"time"
)

// readFor does not ask: a console here cannot be read with a deadline.
func readFor(*os.File, time.Duration, func(string) bool) string { return "" }
