package server

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"daemon-proxy/core/logging"
)

// holder names the program that listens on an address, or on all addresses of
// its port; empty if that cannot be seen: it is another user's.
func holder(at netip.AddrPort) string {
	for _, inode := range listeners(at) {
		for _, fd := range globbed("/proc/[0-9]*/fd/*") {
			if link, err := os.Readlink(fd); err != nil || link != "socket:["+inode+"]" {
				continue
			}
			process := filepath.Dir(filepath.Dir(fd))
			name, err := os.ReadFile(filepath.Join(process, "comm")) //nolint:gosec // a path under /proc
			if err != nil {
				continue
			}
			return fmt.Sprintf("%s (process %s)", logging.Printable(strings.TrimSpace(string(name))), filepath.Base(process))
		}
	}
	return ""
}

func globbed(pattern string) []string {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	return found
}

// listeners are the inodes of the sockets that listen on an address, or on all
// addresses of its port. Source: Linux, Documentation/networking/proc_net_tcp.rst.
func listeners(at netip.AddrPort) (inodes []string) {
	const addressField, stateField, inodeField, listening = 1, 3, 9, "0A"
	for _, table := range [...]string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table) //nolint:gosec // one of the two above
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) <= inodeField || fields[stateField] != listening {
				continue
			}
			addr, port, _ := strings.Cut(fields[addressField], ":")
			number, err := strconv.ParseUint(port, 16, 16)
			if err != nil || uint16(number) != at.Port() {
				continue
			}
			if ip, ok := kernelAddr(addr); ok && (ip == at.Addr() || ip.IsUnspecified() && (ip.Is6() || at.Addr().Is4())) {
				inodes = append(inodes, fields[inodeField])
			}
		}
		file.Close()
	}
	return inodes
}

// kernelAddr reads an address as the kernel prints it: words of 32 bits in the
// byte order of the machine, which is taken to be little-endian.
func kernelAddr(text string) (netip.Addr, bool) {
	raw := make([]byte, 0, 16)
	for ; len(text) >= 8; text = text[8:] {
		word, err := strconv.ParseUint(text[:8], 16, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		raw = append(raw, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return addr.Unmap(), ok
}
