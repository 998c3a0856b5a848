package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"daemon-proxy/core/config"
)

// Listen opens what the configuration names: for a loopback address 127.0.0.1
// and ::1 of the same port, where IPv6 exists, since browsers take either for
// localhost. The error names who has the port and how to choose another.
func Listen(ctx context.Context, c config.Server) ([]net.Listener, error) {
	hosts := []string{c.Host}
	if loopback(c.Host) {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var listeners []net.Listener
	places := make(chan struct{}, c.MaxConnections)
	var lc net.ListenConfig
	for i, host := range hosts {
		address := net.JoinHostPort(host, strconv.Itoa(c.Port))
		l, err := lc.Listen(ctx, "tcp", address)
		if i > 0 && err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			break // no IPv6 here
		}
		if err != nil {
			for _, open := range listeners {
				err = errors.Join(err, open.Close())
			}
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fmt.Errorf("%s is in use by another program: choose another port with --port, DAEMON_PROXY_PORT or server.port", address)
			}
			return nil, fmt.Errorf("listen on %s (server.host, server.port): %w", address, err)
		}
		if tcp, ok := l.(*net.TCPListener); ok { // "tcp" is never anything else
			listeners = append(listeners, newLimited(tcp, places))
		}
	}
	return listeners, nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// exposed says whether others than this machine reach the API without a key.
func (s *Server) exposed() bool {
	return Exposed(s.o.Config)
}

// Exposed says whether a configuration lets others than this machine use the
// API without a key.
func Exposed(c config.Config) bool {
	if c.Security.Enabled || loopback(c.Server.Host) {
		return false
	}
	addr, err := netip.ParseAddr(c.Server.Host)
	return err != nil || !addr.IsLoopback()
}
