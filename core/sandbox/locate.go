package sandbox

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// locateTimeout bounds the questions to the engine for one proof.
const locateTimeout = 5 * time.Second

// tables are the files in which Linux lists the TCP sockets of a network
// namespace, relative to a process's folder in /proc.
var tables = []string{"net/tcp", "net/tcp6"}

// prover checks whether a daemon is in a container.
type prover struct {
	source source.Source
	port   int // the daemon's
	keys   keyring
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
