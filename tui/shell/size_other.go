//go:build !unix

package shell

import (
	"context"
	"os"

	"daemon-proxy/core/api"
)

// followSize does nothing: this platform has no signal for a new size.
func followSize(context.Context, *os.File, api.Terminal) (stop func()) { return func() {} }
