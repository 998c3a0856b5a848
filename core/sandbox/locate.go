package sandbox

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// Every engine assigns addresses from the same private ranges, so the address of
// a container on another machine may belong to a container here. A daemon is used
// only once it has been proved to be in the container. The built-in daemon proves
// it with its secret, which is not sent before. The Daytona daemon has no secret:
// for it, the other end of our connection must be a socket in the container's
// network.

const (
	// callTimeout bounds a short call to an engine, dialTimeout a connection.
	callTimeout, dialTimeout = time.Second, time.Second
	// locateTimeout bounds the questions to the engine for one proof.
	locateTimeout = 5 * time.Second
)

// tables are the files in which Linux lists the TCP sockets of a network
// namespace, relative to a process's folder in /proc.
var tables = []string{"net/tcp", "net/tcp6"}

// doubtful is the error of something that cannot be proved to be in the container.
type doubtful struct{ error }

// Unwrap returns the error itself.
func (e doubtful) Unwrap() error { return e.error }

// proof is where the daemon of a container is. The zero value: not proved.
type proof struct {
	id      string  // of the container
	address string  // without the port
	pid     int     // of a process of the container on this machine; 0: none is known
	inside  bool    // the container's own programs proved it, and nothing has changed since
	bridge  *bridge // it is reached by this one
	served  *served // it is this one, outside of the container; nil: it is inside
	from    string  // our own address at that time: if it changes, so did the route
}

// reach connects to the ports of the container; it is the zero Reach unless a
// daemon was found there.
func (p proof) reach() reach.Reach {
	switch {
	case p.address == "":
		return reach.Reach{}
	case p.bridge != nil:
		return p.bridge.Reach(p.id + " " + p.bridge.via)
	}
	return reach.Direct(dialTimeout, p.address)
}

// prover checks whether a daemon is in a container.
type prover struct {
	source source.Source
	port   int // the daemon's
	keys   keyring
}

// meetAt is meet at one address. A connection that was closed is in no table, so
// it proves nothing: what listened there may have ended, and is asked once more.
func (p prover) meetAt(
	ctx context.Context, c source.Container, address string, known proof,
) (info daemon.Info, got proof, err error) {
	for range 2 {
		info, got, err = p.meetOnce(ctx, c, address, known)
		if !errors.Is(err, daemon.ErrClosed) {
			break
		}
	}
	return info, got, err
}

func (p prover) meetOnce(
	ctx context.Context, c source.Container, address string, known proof,
) (daemon.Info, proof, error) {
	got := proof{id: c.ID, address: address}
	v, err := daemon.NewClient(got.reach(), p.port, "").Open(ctx)
	if err != nil {
		return daemon.Info{}, proof{}, err
	}
	defer v.Close()
	f, err := v.Version(ctx)
	switch {
	case err == nil && f.Kind == daemon.KindBuiltIn:
		err = v.Challenge(ctx, p.keys.secret(c.ID))
	case err == nil:
		got, err = p.locate(ctx, c, v, known)
		return f, got, err
	}
	late := errors.Is(err, daemon.ErrSilent) && known.address != address
	if errors.Is(err, daemon.ErrClosed) {
		return f, got, err
	}
	if late || errors.Is(err, daemon.ErrSecret) || errors.Is(err, daemon.ErrNoChallenge) ||
		errors.Is(err, daemon.ErrNotDaemon) {
		switch _, where := p.locate(ctx, c, v, proof{}); {
		case errors.Is(where, inject.ErrElsewhere):
			err = where
		case errors.Is(where, errUnproved):
			err = doubtful{err}
		}
	}
	return f, got, err
}

// locate proves that the other end of conn is a socket in the network of the
// container: the error is inject.ErrElsewhere if it is not, errUnproved if that
// cannot be determined. It searches the kernel's table of that network, which it
// reads directly if the container runs on this machine, else in the container
// through the engine. The kernel lists sockets with both addresses, so that only
// this connection matches. known is an earlier proof: one that came through the
// engine is valid until something changes.
func (p prover) locate(ctx context.Context, c source.Container, conn net.Conn, known proof) (proof, error) {
	ours, errOurs := netip.ParseAddrPort(conn.LocalAddr().String())
	theirs, errTheirs := netip.ParseAddrPort(conn.RemoteAddr().String())
	if errOurs != nil || errTheirs != nil {
		return proof{}, fmt.Errorf("%w: it is not reached by TCP", errUnproved)
	}
	got := proof{id: c.ID, address: theirs.Addr().String(), from: ours.Addr().String()}
	holds := func(table []byte) bool { return listed(table, theirs, ours) }
	if known.address == got.address && known.pid != 0 {
		if text, ok := readTables(known.pid, c.ID); ok && holds(text) {
			return known, nil
		}
	} else if known.address == got.address && known.from == got.from && known.inside {
		return known, nil
	}

	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	if c.Pid == 0 { // a list does not have it
		now, err := p.source.Inspect(ctx, c.ID)
		if err != nil {
			return proof{}, fmt.Errorf("%w: %w", errUnproved, err)
		}
		c.Pid = now.Pid
	}
	if text, ok := readTables(c.Pid, c.ID); ok {
		if !holds(text) {
			return proof{}, inject.ErrElsewhere
		}
		got.pid = c.Pid
		return got, nil
	}
	got.inside = true
	return got, p.locateInside(ctx, c.ID, holds)
}

// locateInside reads the table with the container's own programs.
func (p prover) locateInside(ctx context.Context, id string, holds func([]byte) bool) error {
	var last error
	for _, cat := range [][]string{{"cat"}, {"/bin/busybox", "cat"}, {"/busybox/busybox", "cat"}} {
		out, code, err := p.source.Run(ctx, id, source.ExecSpec{Cmd: append(cat, "/proc/net/tcp", "/proc/net/tcp6")})
		switch {
		case err == nil && holds(out):
			return nil
		case err == nil && code <= 1 && bytes.Contains(out, []byte("local_address")): // 1: there is no IPv6
			return inject.ErrElsewhere
		case err != nil:
			last = err
		}
	}
	if last != nil {
		return fmt.Errorf("%w: the engine cannot run a program in it: %w", errUnproved, last)
	}
	return fmt.Errorf("%w: it has no program to read /proc/net/tcp with (cat)", errUnproved)
}

// readTables reads the tables of a container's process, if it runs on this
// machine: the name of its control group then contains the container's id.
func readTables(pid int, id string) ([]byte, bool) {
	if pid <= 0 || id == "" {
		return nil, false
	}
	process := "/proc/" + strconv.Itoa(pid) + "/"
	group, err := os.ReadFile(process + "cgroup") //nolint:gosec // a path under /proc
	if err != nil || !strings.Contains(string(group), id) {
		return nil, false
	}
	var text []byte
	for _, table := range tables {
		if part, err := os.ReadFile(process + table); err == nil { //nolint:gosec // a path under /proc
			text = append(text, part...)
		}
	}
	// The process may have ended since the first read, and its pid been reused.
	again, err := os.ReadFile(process + "cgroup") //nolint:gosec // a path under /proc
	return text, err == nil && bytes.Equal(again, group) && len(text) > 0
}

// listed reports whether tables have a socket with that local and remote address.
// Source: Linux, Documentation/networking/proc_net_tcp.rst.
func listed(text []byte, local, remote netip.AddrPort) bool {
	port := fmt.Appendf(nil, ":%04X", remote.Port())
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, port) {
			continue
		}
		fields := strings.Fields(string(line))
		if len(fields) > 3 && samePlace(fields[1], local) && samePlace(fields[2], remote) {
			return true
		}
	}
	return false
}

// samePlace reports whether an address in the kernel's format is at: words of 32
// bits in the machine's byte order, which is assumed to be little-endian.
func samePlace(text string, at netip.AddrPort) bool {
	address, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	raw, hexErr := hex.DecodeString(address)
	if err != nil || hexErr != nil || uint16(number) != at.Port() || len(raw) != 4 && len(raw) != 16 {
		return false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	ip, _ := netip.AddrFromSlice(raw)
	return ip.Unmap() == at.Addr().Unmap().WithZone("")
}
