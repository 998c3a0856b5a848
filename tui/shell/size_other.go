//go:build !unix

package shell

import (
	"context"
	"os"

	"daemon-proxy/core/api"
)

// followSize does nothing: there is no signal for a new size here.
func followSize(context.Context, *os.File, api.Terminal) (stop func()) { return func() {} }
