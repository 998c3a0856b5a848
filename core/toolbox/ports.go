package toolbox

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listener is a TCP socket that listens.
type listener struct {
	Port    int    `json:"port"`
	Address string `json:"address"`
}

// ports answers GET /port.
func (t *Toolbox) ports(w http.ResponseWriter) {
	listeners, err := listening()
	if err != nil {
		answer(w, http.StatusNotImplemented,
			map[string]string{"error": "cannot read the listening ports of this system: " + err.Error()})
		return
	}
	ports := []int{}
	for _, l := range listeners {
		if !slices.Contains(ports, l.Port) {
			ports = append(ports, l.Port)
		}
	}
	answer(w, http.StatusOK, map[string]any{"ports": ports, "listeners": listeners})
}

// inUse answers GET /port/{port}/in-use, for the ports that the Daytona daemon
// answers it for.
func (t *Toolbox) inUse(ctx context.Context, w http.ResponseWriter, text string) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 3000 || port > 9999 {
		answer(w, http.StatusBadRequest, map[string]string{"error": "the port must be a number from 3000 to 9999"})
		return
	}
	inUse := false
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := (&net.Dialer{Timeout: 50 * time.Millisecond}).DialContext(ctx, "tcp", net.JoinHostPort(host, text))
		if err == nil {
			_ = c.Close() // only to find out whether it opens
			inUse = true
		}
	}
	answer(w, http.StatusOK, map[string]bool{"isInUse": inUse})
}

// listening reads the listening sockets of this network namespace from the
// kernel, by port and address.
func listening() ([]listener, error) {
	all := []listener{}
	read := false
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name) //nolint:gosec // one of the two above
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6, or no Linux
		}
		if err != nil {
			return nil, err
		}
		found, err := parseProcNet(f)
		_ = f.Close() // only read
		if err != nil {
			return nil, err
		}
		read = true
		all = append(all, found...)
	}
	if !read {
		return nil, errors.New("there is no /proc/net/tcp")
	}
	slices.SortFunc(all, func(a, b listener) int {
		if a.Port != b.Port {
			return a.Port - b.Port
		}
		return strings.Compare(a.Address, b.Address)
	})
	return slices.Compact(all), nil
}

// parseProcNet reads the sockets in state LISTEN (0A) of a table as in
// proc_net_tcp.txt of the kernel's documentation. Lines that it does not
// understand are passed over.
func parseProcNet(r io.Reader) ([]listener, error) {
	var found []listener
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		address, port, ok := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		raw, hexErr := hex.DecodeString(address)
		if !ok || err != nil || hexErr != nil || number == 0 || len(raw) != 4 && len(raw) != 16 {
			continue
		}
		for i := 0; i < len(raw); i += 4 { // each word is in the byte order of the machine: little-endian
			slices.Reverse(raw[i : i+4])
		}
		ip, _ := netip.AddrFromSlice(raw)
		found = append(found, listener{Port: int(number), Address: ip.Unmap().String()})
	}
	return found, lines.Err()
}
