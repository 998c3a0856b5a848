// Package reach connects to the TCP ports of a sandbox. A caller uses a Reach
// and need not know the address or the transport.
package reach

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"
)

// Reach connects to the ports of one sandbox. With the zero value, Dial fails.
type Reach struct {
	// Key identifies the destination: connections of different keys must not
	// share a pool.
	Key string
	// Host names the sandbox in a Host header, a URL and messages.
	Host string

	dial func(ctx context.Context, port int) (net.Conn, error)
}

// Direct tries the addresses of a sandbox in their order, each within timeout; 0
// means that only the context limits it. The first address is Host and Key.
func Direct(timeout time.Duration, addresses ...string) Reach {
	return Reach{Key: addresses[0], Host: addresses[0], dial: func(ctx context.Context, port int) (net.Conn, error) {
		d := net.Dialer{Timeout: timeout}
		var errs []error
		for _, address := range addresses {
			conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}}
}

// Through connects with dial to the ports of the sandbox that key identifies; host
// names it in Host headers.
func Through(key, host string, dial func(ctx context.Context, port int) (net.Conn, error)) Reach {
	return Reach{Key: key, Host: host, dial: dial}
}

// Until returns r with another key. Once ctx has ended, Dial fails with its
// cause, as the address may belong to another sandbox by then.
func (r Reach) Until(ctx context.Context, key string) Reach {
	dial := r.dial
	return Reach{key, r.Host, func(dialling context.Context, port int) (net.Conn, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return dial(dialling, port)
	}}
}

// Leads reports whether r leads to a sandbox: it is not the zero value.
func (r Reach) Leads() bool { return r.dial != nil }

// Dial connects to a port of the sandbox.
func (r Reach) Dial(ctx context.Context, port int) (net.Conn, error) {
	if r.dial == nil {
		return nil, errors.New("the sandbox cannot be reached")
	}
	return r.dial(ctx, port)
}

// Authority is Host and port, as a Host header or a URL names them.
func (r Reach) Authority(port int) string { return net.JoinHostPort(r.Host, strconv.Itoa(port)) }
