package ports

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
)

func TestADesktopIsStartedThroughTheDaemon(t *testing.T) {
	t.Parallel()
	d, _ := onHost(t, nil)
	p, ok := errors.AsType[*api.Problem](d.StartDesktop(t.Context(), api.Host))
	require.True(t, ok)
	require.Equal(t, api.CodeNoDesktop, p.Code)
	require.NotEmpty(t, p.Hint)
	require.Contains(t, p.Detail, "the built-in daemon has no desktop")
	require.Equal(t, vncPort, p.Port)
}

func TestALabelNamesTheDesktop(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]api.PortCard{
		"3000":             {Desktop: "desktop", Chosen: true},
		"3000/":            {Desktop: "desktop", Chosen: true, Path: "/"},
		"3000/a/b?x=\x1b[": {Desktop: "desktop", Chosen: true, Path: "/a/b?x=␛["},
		"3001":             {},

		"+3000": {},
		"93000": {},
		"":      {},
		"/":     {},
	} {
		card := api.PortCard{Port: api.Port{Port: 3000}, Service: "http"}
		want.Port, want.Service = card.Port, card.Service
		readDesktop(label).complete(&card)
		require.Equal(t, want, card, label)
	}
	for _, service := range []string{"http", "other"} {
		card := api.PortCard{Port: api.Port{Port: 6080}, Service: service}
		readDevcontainer(`{"portsAttributes":{"6080":{"label":"Desktop (noVNC)"}}}`).complete(&card)
		require.Equal(t, service == "http", card.IsDesktop())
	}
}

func TestWhatADaemonSaysOfItsDesktop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"message": {503, `{"message":"not available","details":"no plug-in"}`, "not available (no plug-in)"},
		"error":   {500, `{"error":"boom\u001b[31m"}`, "boom␛[31m"},
		"nothing": {500, ``, "it answers 500"},
		"html":    {500, `<html>`, "it answers 500"},
		"long":    {500, `{"message":"` + strings.Repeat("x", 1000) + `"}`, strings.Repeat("x", 299) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			t.Cleanup(server.Close)
			client := daemon.Client{Dial: func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
			}}
			refusal, ok := errors.AsType[*daemon.StatusError](client.StartDesktop(t.Context()))
			require.True(t, ok)
			require.Equal(t, test.want, reason(refusal))
		})
	}
}
