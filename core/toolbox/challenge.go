package toolbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ChallengePath is, with a nonce of 16 to 128 letters and digits after it, where
// the daemon proves that it knows the secret to a caller that must not send it
// yet. Another way to compute the proof gets another path.
const ChallengePath = "/challenge/v1/"

// challenge answers GET /challenge/v1/{nonce}.
func (t *Toolbox) challenge(w http.ResponseWriter, r *http.Request, nonce string) {
	at, ok := localAddr(r)
	if !ok || len(nonce) < 16 || len(nonce) > 128 || strings.Trim(nonce, alphanumeric) != "" {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, map[string]string{"proof": Proof(t.options.Secret, nonce, at)})
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Proof is the answer to a nonce: an HMAC with the secret as its key, over the
// nonce and the address at which the daemon was reached, so that the answer of
// a daemon elsewhere cannot be passed on.
func Proof(secret, nonce string, at netip.AddrPort) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("daemon-proxy challenge v1\n" + nonce + "\n" + at.String()))
	return hex.EncodeToString(mac.Sum(nil))
}

// localAddr is the address at which the caller reached this server.
func localAddr(r *http.Request) (netip.AddrPort, bool) {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if addr == nil {
		return netip.AddrPort{}, false
	}
	at, err := netip.ParseAddrPort(addr.String())
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), err == nil
}
