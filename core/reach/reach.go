// Package reach holds the ways to the TCP ports of a sandbox. Whoever connects
// to one gets a Reach, and learns neither an address nor how the bytes travel.
package reach

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"
)

// Reach is the way to the ports of one sandbox. The zero value leads nowhere.
type Reach struct {
	// Key identifies where the way leads: connections of two keys must not be
	// pooled together.
	Key string
	// Host names the sandbox's end in a Host header, a URL and messages.
	Host string

	dial func(ctx context.Context, port int) (net.Conn, error)
}

// Direct connects to the addresses of a sandbox, in their order, each within
// timeout; 0 leaves that to ctx. The first one is its Host and Key.
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

// Until is r with another key, and only until ctx ends: Dial then fails with the
// cause of that, as the address may lead to another sandbox by then.
func (r Reach) Until(ctx context.Context, key string) Reach {
	dial := r.dial
	return Reach{key, r.Host, func(dialling context.Context, port int) (net.Conn, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return dial(dialling, port)
	}}
}

// Leads reports whether r leads anywhere.
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
