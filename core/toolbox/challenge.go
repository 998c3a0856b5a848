package toolbox

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"daemon-proxy/core/daemon"
)

// challenge answers GET /challenge/v1/{nonce}.
func (t *Toolbox) challenge(w http.ResponseWriter, r *http.Request, nonce string) {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if addr == nil || len(nonce) < 16 || len(nonce) > 128 || strings.Trim(nonce, alphanumeric) != "" {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	at, err := netip.ParseAddrPort(addr.String()) // where the caller reached this server
	if err != nil {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, map[string]string{"proof": daemon.Proof(t.options.Secret, nonce, at)})
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
