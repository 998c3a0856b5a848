package toolbox

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
)

// Inside is the way into a sandbox.
type Inside interface {
	// Dial connects to a port on the sandbox's loopback.
	Dial(ctx context.Context, port int) (net.Conn, error)
	// Listeners returns the lines of /proc/net/tcp and /proc/net/tcp6 there that are
	// about what listens; others are allowed.
	Listeners(ctx context.Context) ([]byte, error)
}

// here is the sandbox in which this process runs.
type here struct{}

// Dial implements Inside. A service may listen on only one of the two addresses of
// localhost.
func (here) Dial(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		return c, nil
	}
	c, err6 := d.DialContext(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	if err6 != nil {
		return nil, errors.Join(err, err6)
	}
	return c, nil
}

// Listeners implements Inside.
func (here) Listeners(context.Context) ([]byte, error) {
	var all []byte
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table) //nolint:gosec // one of the two above
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(all, text...)
	}
	if all == nil {
		return nil, errors.New("there is no /proc/net/tcp") // no Linux
	}
	return all, nil
}
