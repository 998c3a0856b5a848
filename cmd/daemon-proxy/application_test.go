package main

import (
	"net"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
)

// boxed runs a program that was built statically as a container's only file.
func boxed(t *testing.T, target string, args ...string) (name string) {
	t.Helper()
	image := enginetest.Import(t, map[string]enginetest.File{"/program": {Path: enginetest.StaticGo(t, target)}}, nil)
	name = enginetest.Name(t)
	enginetest.Run(t, image, enginetest.RunOptions{Name: name, Cmd: append([]string{"/program"}, args...)})
	return name
}

// applicationWorks opens the application and compares what its page found.
// Where the browser takes the origin for secure it has service workers; a
// cookie that a script made reaches the service in host mode only (M4).
func applicationWorks(t *testing.T, b *browser, url string, hostMode bool) {
	t.Helper()
	b.open(url)
	b.until("all is tried", "window.results")
	want := map[string]any{
		"module": "depth two", "classic": true, "style": "rgb(1, 2, 3)", "image": "decoded",
		"session": map[string]any{"host": "localhost:3000", "script": false}, "change": "7 is ü", "scriptCookie": hostMode,
		"events": "event 0,event 1,event 2", "socket": "echo.v1,hello,1048576,4001,as you wish", "worker": "worker got this",
		"range": "206,bytes 1000-1015/1048576,89abcdef01234567", "download": float64(1 << 20), "serviceWorker": "the worker's",
	}
	if !eval[bool](b, "isSecureContext") {
		want["serviceWorker"] = "none here"
	}
	require.Equal(t, want, eval[map[string]any](b, "window.results"))
	b.do("send the form", chromedp.Click("#send"))
	b.until("the form's answer", `document.body.innerText === 'got "a b&c"'`)
	require.Empty(t, b.failures())
}

func TestH3B1AnApplicationWorksWholeInHostMode(t *testing.T) {
	enginetest.Require(t)
	b := newBrowser(t)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", boxed(t, "./testdata/application"))
	p.healthy()
	_, url, hostURL := p.link(`{"port": 3000}`)
	applicationWorks(t, b, hostURL+"/", true)
	// A person who opens the path form on localhost lands in host mode too (H5).
	b.open(url + "/")
	require.Equal(t, hostURL+"/app/", eval[string](b, "location.href"))
}

// In path mode all that the page asks for lies outside the preview. The three
// addresses are three different things to a browser: on the last it does not
// say who asks for what, and where to.
func TestM5AnApplicationWorksWholeInPathMode(t *testing.T) {
	enginetest.Require(t)
	b := newBrowser(t)
	d := newDesk(t)
	p := d.serving(t, []string{"DAEMON_PROXY_HOST=0.0.0.0", "PREVIEW_REDIRECT_TO_HOST=false"},
		"--daemon-mode", "docker", "--container-name", boxed(t, "./testdata/application"))
	p.healthy()
	token, _, _ := p.link(`{"port": 3000}`)
	for _, host := range []string{"localhost", "127.0.0.1", otherAddress(t)} {
		origin := "http://" + net.JoinHostPort(host, strconv.Itoa(d.port))
		applicationWorks(t, b, origin+"/preview/"+token+"/", false)
		require.Equal(t, origin, eval[string](b, "location.origin"))
	}
}
