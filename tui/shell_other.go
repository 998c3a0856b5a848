//go:build !unix

package tui

import (
	"context"
	"os"
)

// followSize does nothing: there is no signal for a new size here.
func followSize(context.Context, *os.File, Terminal) (stop func()) { return func() {} }
