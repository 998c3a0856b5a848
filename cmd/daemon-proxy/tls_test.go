package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// speaking is a service of this machine with a page whose WebSocket repeats what it hears.
func speaking(t *testing.T) (port int) {
	t.Helper()
	return wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<title>waits</title><script>const s = new WebSocket("ws"); s.onopen = () => s.send("spoke"); s.onmessage = m => document.title = m.data</script>`))
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		kind, said, err := c.Read(context.Background())
		if err == nil {
			_ = c.Write(context.Background(), kind, said)
			_, _, _ = c.Read(context.Background())
		}
	}))
}

func TestH6ABrowserThatTrustsTheAuthorityOpensEachPreview(t *testing.T) {
	certutil := wiretest.Program(t, "certutil") // Debian: libnss3-tools
	d := newDesk(t)
	p := d.run(t, []string{"DAEMON_PROXY_TLS_MODE=self-signed"}, "--no-tui", "--daemon-mode", "host")
	port := strconv.Itoa(speaking(t))
	var made said
	p.eventually("a command of this desk trusts the core that runs", func() bool {
		made = d.command(t, nil, "preview", "create", port, "--json")
		return made.code == 0
	})
	link := decode[api.Link](t, made.stdout)
	require.True(t, strings.HasPrefix(link.HostURL, "https://"+link.Token+".localhost:"), link.HostURL)

	s := newScreen(t, d)
	s.keys(d.binary+" --standalone --port "+strconv.Itoa(d.port), "Enter")
	s.shows("open it with --server https://localhost:" + strconv.Itoa(d.port))

	home := t.TempDir()
	store := "sql:" + filepath.Join(home, ".pki", "nssdb")
	require.NoError(t, os.MkdirAll(strings.TrimPrefix(store, "sql:"), 0o700))
	authority := filepath.Join(d.dir, "state", "daemon-proxy", "tls-authority.pem")
	for _, args := range [][]string{
		{"-d", store, "-N", "--empty-password"},
		{"-d", store, "-A", "-t", "C,,", "-n", "daemon-proxy", "-i", authority},
	} {
		out, err := exec.Command(certutil, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	b := newBrowser(t, chromedp.Env("HOME="+home))
	b.open(link.HostURL + "/")
	b.until("the WebSocket over TLS speaks", `document.title === "spoke"`)
	require.Equal(t, "https://"+link.Token+".localhost:"+strconv.Itoa(d.port), eval[string](b, "location.origin"))
	require.True(t, eval[bool](b, "isSecureContext"))
	require.Equal(t, "h2", eval[string](b, `performance.getEntriesByType("navigation")[0].nextHopProtocol`))
	b.open(link.URL + "/")
	b.until("the path form leads to the host form", `document.title === "spoke" && location.origin.includes("`+link.Token+`")`)
	require.Empty(t, b.failures())
}
