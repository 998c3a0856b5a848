package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestS84MetricsNameSandboxesAndPortsOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.serving(t, []string{"DAEMON_MODE=host", "SECURITY_ENABLED=true", "SECURITY_API_KEY=a-key-for-this-test"}, "--metrics")
	key := []string{"Authorization", "Bearer a-key-for-this-test"}
	port := speaking(t)
	proxied := "/proxy/" + strconv.Itoa(port) + "/a-secret-path?token=a-secret"
	p.eventually("the daemon of the host answers", func() bool {
		status, _ := p.try("GET", proxied, "", key...)
		return status == http.StatusOK
	})
	link := p.json("POST", "/api/preview/create", `{"sandbox":"host","port":`+strconv.Itoa(port)+`}`,
		append(key, "Content-Type", "application/json")...)
	token, _ := link["token"].(string)
	require.NotEmpty(t, token)
	p.expect(200, "waits", "GET", "/preview/"+token+"/a-secret-path", "")

	p.expect(401, "unauthorized", "GET", "/metrics", "")
	p.expect(401, "unauthorized", "GET", "/metrics", "", "Authorization", "Bearer another")
	var text string
	p.eventually("both are counted", func() bool {
		text = p.expect(200, "# TYPE daemon_proxy_requests_total counter", "GET", "/metrics", "", key...)
		return strings.Contains(text, `daemon_proxy_request_seconds_count{kind="preview"} 1`)
	})
	require.Contains(t, text, `daemon_proxy_requests_total{class="2xx",port="`+strconv.Itoa(port)+`",sandbox="host"}`)
	require.Contains(t, text, `daemon_proxy_daemon_state{sandbox="host",state="healthy"} 1`)
	require.Contains(t, text, "process_resident_memory_bytes")
	for _, secret := range []string{"secret", token, token[:6], "localhost", "127.0.0.1", "a-key"} {
		require.NotContains(t, text, secret)
	}
}

func TestMetricsAreOffUnlessTurnedOn(t *testing.T) {
	t.Parallel()
	p := newDesk(t).serving(t, []string{"DAEMON_MODE=host"})
	p.expect(404, "turn them on with server.metrics", "GET", "/metrics", "", "Accept", "application/json")
}
