package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"daemon-proxy/core/config"
)

// Listen opens what the configuration names: for a loopback address 127.0.0.1
// and ::1 of the same port, where IPv6 exists, since browsers take either for
// localhost. If the port is taken, the error wraps syscall.EADDRINUSE, names who has
// it, and has a Hint.
func Listen(ctx context.Context, c config.Server) ([]net.Listener, error) {
	hosts := []string{c.Host}
	if c.OnLoopback() {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var open []net.Listener
	var taken []string
	places := newPlaces(c.MaxConnections)
	var lc net.ListenConfig
	for i, host := range hosts {
		address := net.JoinHostPort(host, strconv.Itoa(c.Port))
		l, err := lc.Listen(ctx, "tcp", address)
		if i > 0 && err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			break // no IPv6 here
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, whoHas(address))
			continue // to tell of the other family too
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen on %s (server.host, server.port): %w", address, err), closeAll(open))
		}
		if tcp, ok := l.(*net.TCPListener); ok { // "tcp" is never anything else
			open = append(open, newLimited(tcp, places))
		}
	}
	if len(taken) > 0 {
		return nil, errors.Join(portTakenError(strings.Join(taken, ", ")), closeAll(open))
	}
	return open, nil
}

// portTakenError says who has the port; it wraps EADDRINUSE.
type portTakenError string

func (e portTakenError) Error() string { return string(e) }

// Hint is the next thing to try.
func (portTakenError) Hint() string {
	return "choose another port with --port, DAEMON_PROXY_PORT or server.port"
}

// Unwrap is the system's error.
func (portTakenError) Unwrap() error { return syscall.EADDRINUSE }

func closeAll(open []net.Listener) (err error) {
	for _, l := range open {
		err = errors.Join(err, l.Close())
	}
	return err
}

// whoHas says which family of the port is in use, and by whom where that can
// be seen.
func whoHas(address string) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil { // server.host is a name
		return address + " is in use by another program"
	}
	family := "IPv4"
	if at.Addr().Is6() {
		family = "IPv6"
	}
	who := holder(at)
	if who == "" {
		who = "another program"
	}
	return fmt.Sprintf("%s (%s) is in use by %s", address, family, who)
}
