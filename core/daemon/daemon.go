// Package daemon is the protocol between this program and the daemon in a
// sandbox: the names that both sides use, and a client. Daytona's daemon and
// the built-in one (core/toolbox) speak it. The built-in one also requires a
// secret, and can prove that it knows the secret before a caller sends it.
package daemon

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
)

const (
	// SecretHeader carries the secret of a request to the built-in daemon, which
	// removes it before it forwards the request.
	SecretHeader = "X-Daemon-Proxy-Secret" //nolint:gosec // the name of a header, not a secret
	// SecretEnv is the environment variable in which the built-in daemon gets its secret.
	SecretEnv = "DAEMON_PROXY_SECRET" //nolint:gosec // the name of a variable, not a secret
	// ServerName is the Server header that identifies the built-in daemon.
	ServerName = "daemon-proxy-toolbox"
	// ChallengePath is the path where, followed by a nonce of 16 to 128 letters and
	// digits, the built-in daemon proves that it knows the secret to a caller that
	// must not send it yet. A different proof needs a different path.
	ChallengePath = "/challenge/v1/"
)

// Kinds of daemon.
const (
	KindBuiltIn = "built-in"
	KindDaytona = "daytona"
)

// Proof answers a challenge: an HMAC with the secret as its key, over the nonce
// and the address at which the daemon was reached, so that the answer of another
// daemon cannot be relayed.
func Proof(secret, nonce string, at netip.AddrPort) string {
	mac := hmac.New(sha256.New, []byte(secret))
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	mac.Write([]byte("daemon-proxy challenge v1\n" + nonce + "\n" + at.String()))
	return hex.EncodeToString(mac.Sum(nil))
}

// IsPort reports whether a port belongs to the daemon itself: its API (2280),
// SSH (22220), web terminal (22222) and recordings (33333), or one of more,
// such as the configured port.
func IsPort(port int, more ...int) bool {
	switch port {
	case 2280, 22220, 22222, 33333:
		return true
	}
	return slices.Contains(more, port)
}
