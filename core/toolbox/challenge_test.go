package toolbox

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheChallengeProvesTheSecretWithoutIt(t *testing.T) {
	t.Parallel()
	url := start(t)
	at := netip.MustParseAddrPort(strings.TrimPrefix(url, "http://"))
	const nonce = "ABCDEFGHIJKLMNOP"
	response, body := ask(t, "GET", url+ChallengePath+nonce, "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotContains(t, body, secret)
	var answer struct{ Proof string }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, Proof(secret, nonce, at), answer.Proof)
	for name, other := range map[string]string{
		"secret":  Proof(secret+"x", nonce, at),
		"nonce":   Proof(secret, nonce+"Q", at),
		"address": Proof(secret, nonce, netip.AddrPortFrom(netip.MustParseAddr("172.17.0.2"), at.Port())),
	} {
		require.NotEqual(t, other, answer.Proof, "another %s", name)
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 129), "ABCDEFGHIJKLMNOP%0A"} {
		response, _ := ask(t, "GET", url+ChallengePath+bad, "")
		require.Equal(t, http.StatusNotFound, response.StatusCode, bad)
	}
}
