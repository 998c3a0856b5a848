package carrier

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"daemon-proxy/core/mux"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/version"
)

// greeting begins the first line of a bridge's output. What follows the line is of
// that version. After a space, the line ends with version.Build of the bridge, which
// those of the first builds do not report.
const greeting = "daemon-proxy bridge 1"

// The first two bytes of a stream are the port, the most significant one first.
// The bridge answers with one of these bytes; what follows is the connection's, or
// text after broken. The port listeners means the tables of sockets: what follows
// are their lines.
const (
	listeners = 0

	connected4 = '4' // to 127.0.0.1
	connected6 = '6' // to ::1
	refused    = 'r' // nothing listens
	silent     = 's' // what listens does not answer
	broken     = 'b' // for another reason
)

const (
	// portWithin is how long the port of a stream may take.
	portWithin = 30 * time.Second
	// dialWithin is how long a service may take to accept.
	dialWithin = 30 * time.Second
)

// Serve is the bridge: it connects each stream that comes through in and out to the
// port that the stream names, until in ends, the other end is silent or ctx ends. It
// closes in and out.
func Serve(ctx context.Context, in, out *os.File) error {
	p := mux.Pipes(in, out)
	defer func() { _ = p.Close() }() // the session may have closed them
	if _, err := fmt.Fprintln(out, greeting, version.Build()); err != nil {
		return fmt.Errorf("greet the other end: %w", err)
	}
	m, err := mux.Far(p, limits)
	if err != nil {
		return err
	}
	here := reach.Direct(0, "127.0.0.1", "::1")
	m.Serve(ctx, func(s *mux.Stream) { serve(ctx, s, here) })
	return nil
}

// serve connects one stream.
func serve(ctx context.Context, s *mux.Stream, here reach.Reach) {
	defer func() { _ = s.Close() }() // never fails
	var port [2]byte
	_ = s.SetReadDeadline(time.Now().Add(portWithin)) // never fails
	if _, err := io.ReadFull(s, port[:]); err != nil {
		return
	}
	_ = s.SetReadDeadline(time.Time{})
	number := int(binary.BigEndian.Uint16(port[:]))
	if number == listeners {
		list(s)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	service, err := here.Dial(ctx, number)
	if err != nil {
		_, _ = s.Write(whyNot(err)) // the other end sees what is missing
		return
	}
	answer := byte(connected4)
	if at, err := netip.ParseAddrPort(service.RemoteAddr().String()); err == nil && at.Addr().Is6() {
		answer = connected6
	}
	if _, err := s.Write([]byte{answer}); err != nil {
		service.Close()
		return
	}
	mux.Join(s, service)
}

// whyNot is the answer to a port that cannot be connected to.
func whyNot(err error) []byte {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return []byte{refused}
	case errors.As(err, &timeout) && timeout.Timeout():
		return []byte{silent}
	}
	return append([]byte{broken}, err.Error()...)
}

// list sends the lines of the tables of sockets that are in the state LISTEN (0A).
// Source: Linux, Documentation/networking/proc_net_tcp.rst.
func list(s *mux.Stream) {
	answer := bytes.NewBuffer([]byte{connected4})
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table) //nolint:gosec // one of the two above
		if errors.Is(err, fs.ErrNotExist) {
			continue // there is no IPv6
		}
		if err != nil {
			_, _ = s.Write(whyNot(err)) // the other end sees what is missing
			return
		}
		for line := range bytes.Lines(text) {
			if fields := bytes.Fields(line); len(fields) > 3 && string(fields[3]) == "0A" {
				answer.Write(line)
			}
		}
	}
	if _, err := s.Write(answer.Bytes()); err == nil {
		_ = s.CloseWrite() // the other end sees what is missing
	}
}
