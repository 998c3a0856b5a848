package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

// onlyOne waits until no other test of any checkout has the demo: its name is
// the same for all of one engine.
func onlyOne(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "daemon-proxy-demo-test.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

var demoURL = regexp.MustCompile(`The demo sandbox runs: (http://\S+)/\n`)

func TestTheDemoNeedsNothingButTheProgram(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	onlyOne(t)
	d := newDesk(t)
	d.binary = enginetest.Made(t)
	remove := func() {
		p := d.run(t, nil, "demo", "--remove")
		require.Zero(t, p.exit(), p.stderr.String())
		_, err := e.Inspect(t.Context(), core.DemoName)
		require.ErrorContains(t, err, "there is no container")
		_, exists, err := e.ImageLabel(t.Context(), "daemon-proxy-demo:latest", "daemon-proxy.demo")
		require.NoError(t, err)
		require.False(t, exists)
	}
	remove()

	p := d.run(t, nil, "demo")
	shown := func(p *program) string {
		var found []string
		p.eventually("the link is shown", func() bool {
			found = demoURL.FindStringSubmatch(p.stderr.String())
			return found != nil
		})
		return found[1]
	}
	url := shown(p)
	p.expect(200, "daemon-proxy demo", "GET", url+"/", "")
	p.expect(200, "color-scheme", "GET", url+"/style.css", "")
	p.expect(200, "<svg", "GET", url+"/picture.svg", "")
	p.expect(200, `{"visits":3}`, "GET", url+"/visits", "", "Cookie", "demo_visits=3")
	p.expect(404, "", "GET", url+"/nothing-here", "")
	dialler := *browserLike // whose time limit a WebSocket would not take
	dialler.Timeout = 0
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/clock", &websocket.DialOptions{HTTPClient: &dialler})
	require.NoError(t, err)
	_, first, err := ws.Read(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d\d:\d\d:\d\d$`, string(first))
	require.NoError(t, ws.CloseNow())

	// A second one uses the program that runs, the container and the link.
	container, err := e.Inspect(t.Context(), core.DemoName)
	require.NoError(t, err)
	second := d.run(t, nil, "demo")
	require.Zero(t, second.exit(), second.stderr.String())
	require.Equal(t, url, shown(second))
	again, err := e.Inspect(t.Context(), core.DemoName)
	require.NoError(t, err)
	require.Equal(t, container.ID, again.ID)
	require.Equal(t, container.StartedAt, again.StartedAt)

	link := decode[api.Link](t, d.done(t, "demo", "--json"))
	require.Equal(t, url, link.HostURL)

	require.Zero(t, p.signal(syscall.SIGINT))
	require.JSONEq(t, `{"removed":true}`, d.done(t, "demo", "--remove", "--json"))
	require.JSONEq(t, `{"removed":false}`, d.done(t, "demo", "--remove", "--json"))
	require.Equal(t, "There was no demo sandbox.\n", d.done(t, "demo", "--remove"))
}

func TestAContainerOfTheDemosNameIsNotTaken(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	onlyOne(t)
	d := newDesk(t)
	require.Zero(t, d.run(t, nil, "demo", "--remove").exit())
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Name: core.DemoName})
	for _, args := range [][]string{{"demo"}, {"demo", "--remove"}} {
		p := d.run(t, nil, args...)
		require.Equal(t, exitFailed, p.exit())
		require.Contains(t, p.stderr.String(), "is not the demo")
		require.Contains(t, p.stderr.String(), "try:")
	}
	_, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	enginetest.Remove(t, id)
	require.Zero(t, d.run(t, nil, "demo", "--remove").exit())
}
