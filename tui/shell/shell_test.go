//go:build linux

package shell

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// slowShell is a core whose shells open when it is told to.
type slowShell struct {
	asked, release chan struct{}
	far            *recordedShell
}

func (s *slowShell) Shell(ctx context.Context, _ api.Ref, _, _ int) (api.Terminal, error) {
	close(s.asked)
	select {
	case <-s.release:
		return s.far, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recordedShell is a shell that keeps what is typed and ends with exit.
type recordedShell struct {
	typed bytes.Buffer
	ended chan struct{}
}

func (r *recordedShell) Write(p []byte) (int, error) {
	n, err := r.typed.Write(p)
	if bytes.Contains(r.typed.Bytes(), []byte("exit")) {
		close(r.ended)
	}
	return n, err
}

func (r *recordedShell) Read([]byte) (int, error) {
	<-r.ended
	return 0, io.EOF
}

func (r *recordedShell) Close() error { return nil }

func (r *recordedShell) Resize(context.Context, int, int) error { return nil }

func (r *recordedShell) Wait(context.Context) (int, error) { return 0, nil }

func TestAShellIsOpenedOrGivenUp(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"", "\x1b", "\x03"} {
		p, tty, err := pty.Open()
		require.NoError(t, err)
		defer p.Close()
		defer tty.Close()
		b := &slowShell{make(chan struct{}), make(chan struct{}), &recordedShell{ended: make(chan struct{})}}
		shown, out := io.Pipe()
		lines := bufio.NewScanner(shown)
		result := make(chan error, 1)
		go func() {
			result <- (&Shell{ctx: t.Context(), backend: b, ref: api.Ref{Name: "my-sandbox"}, in: tty, out: out}).Run()
			out.Close()
		}()
		require.True(t, lines.Scan()) // the end of what stood there
		require.True(t, lines.Scan())
		require.Equal(t, "opening a shell in my-sandbox, esc cancels", lines.Text())
		<-b.asked
		if keys == "" {
			close(b.release)
			require.True(t, lines.Scan())
			require.Equal(t, "shell in my-sandbox, exit returns", lines.Text())
			keys = "exit\r"
		}
		_, err = io.WriteString(p, keys)
		require.NoError(t, err)
		require.NoError(t, <-result)
		require.False(t, lines.Scan(), lines.Text())
	}
}

func TestOnlyEscAndCtrlCGiveAShellUp(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]bool{"rm -rf x\r": false, "\x1b[A": false, "x\x1b": true, "\x03x": true} {
		given := false
		drop(strings.NewReader(keys), func() { given = true })
		require.Equal(t, want, given, "%q", keys)
	}
}
