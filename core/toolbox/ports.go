package toolbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
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
func (t *Toolbox) ports(ctx context.Context, w http.ResponseWriter) {
	listeners, err := t.listening(ctx)
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
	ctx, cancel := context.WithTimeout(ctx, inUseWithin)
	defer cancel()
	c, err := t.options.Inside.Dial(ctx, port)
	if err == nil {
		_ = c.Close() // only to find out whether it opens
	}
	answer(w, http.StatusOK, map[string]bool{"isInUse": err == nil})
}

// inUseWithin is how long a port that is in use may take to accept a connection.
const inUseWithin = 100 * time.Millisecond

// listening returns the listening sockets of the sandbox, by port and address.
func (t *Toolbox) listening(ctx context.Context) ([]listener, error) {
	table, err := t.options.Inside.Listeners(ctx)
	if err != nil {
		return nil, err
	}
	all, err := parseProcNet(bytes.NewReader(table))
	if err != nil {
		return nil, err
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
	found := []listener{}
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
