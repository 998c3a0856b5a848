package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestW1AClientOfAnotherMajorProtocolIsRefused(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withRunKey, withNews(make(news)))
	link := f.link(s.port)
	refused := 0
	for _, row := range routes() {
		if row.serve == nil {
			continue
		}
		name := row.method + " " + row.path
		for _, protocol := range []string{"2.0", "0.9", "x"} {
			status, code := f.ask(row, link, 1, byRunKey, api.ProtocolHeader+": "+protocol)
			if row.open {
				require.Equal(t, 200, status, name)
				continue
			}
			require.Equal(t, 409, status, name)
			require.Equal(t, api.CodeProtocolMismatch, code, name)
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 3*20)
	require.Empty(t, f.boxes.notes())
	for _, protocol := range []string{api.Protocol, "1.99"} {
		require.Equal(t, 200, f.get("/api/status", api.ProtocolHeader+": "+protocol).StatusCode)
	}
	got := f.get("/api/status", api.ProtocolHeader+": 2.0")
	require.Contains(t, got.Body, "the client speaks protocol 2.0, and the core speaks 1.0")
	health := f.get("/health", api.ProtocolHeader+": 2.0")
	require.Contains(t, health.Body, `"protocol":"`+api.Protocol+`"`, "which tells a client of any protocol")
}
