package toolbox

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"daemon-proxy/core/daemon"

	"github.com/stretchr/testify/require"
)

func TestTheChallengeProvesTheSecretWithoutIt(t *testing.T) {
	t.Parallel()
	url := start(t)
	at := netip.MustParseAddrPort(strings.TrimPrefix(url, "http://"))
	const nonce = "ABCDEFGHIJKLMNOP"
	response, body := ask(t, "GET", url+daemon.ChallengePath+nonce, "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotContains(t, body, secret)
	var answer struct{ Proof string }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, daemon.Proof(secret, nonce, at), answer.Proof)
	for name, other := range map[string]string{
		"secret":  daemon.Proof(secret+"x", nonce, at),
		"nonce":   daemon.Proof(secret, nonce+"Q", at),
		"address": daemon.Proof(secret, nonce, netip.AddrPortFrom(netip.MustParseAddr("172.17.0.2"), at.Port())),
	} {
		require.NotEqual(t, other, answer.Proof, "another %s", name)
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 129), "ABCDEFGHIJKLMNOP%0A"} {
		response, _ := ask(t, "GET", url+daemon.ChallengePath+bad, "")
		require.Equal(t, http.StatusNotFound, response.StatusCode, bad)
	}
}
