//go:build unix

package shell

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"daemon-proxy/core/api"
)

// followSize reports every new size of tty to far until stop is called.
func followSize(ctx context.Context, tty *os.File, far api.Terminal) (stop func()) {
	changed, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-changed:
				if w, h, err := term.GetSize(int(tty.Fd())); err == nil {
					_ = far.Resize(ctx, w, h) // the shell also works with the old size
				}
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(done)
		<-ended
	}
}
