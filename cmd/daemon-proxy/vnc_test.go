package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

// desktopColour is what the desktop is filled with.
const desktopColour = "#2a6f97"

// desktopScript starts a VNC desktop with one xterm, and noVNC on 6080 and on a port
// that is not usual, all as Debian has them.
const desktopScript = `
Xtigervnc :1 -geometry 1024x768 -depth 24 -SecurityTypes None -rfbport 5900 -localhost &
until xsetroot -solid '` + desktopColour + `'; do sleep 0.1; done
xterm -geometry 80x12+200+300 -e /bin/sh &
websockify --web /usr/share/novnc 17905 localhost:5900 &
exec websockify --web /usr/share/novnc 6080 localhost:5900
`

// debian runs a script in the image that has the real applications.
func debian(t *testing.T, script string) (name, id string) {
	t.Helper()
	image := enginetest.Debian(t, "tigervnc-standalone-server", "x11-xserver-utils", "xterm", "novnc", "websockify", "jupyter-notebook")
	name = enginetest.Name(t)
	return name, enginetest.Run(t, image, enginetest.RunOptions{
		Name: name, Cmd: []string{"/bin/bash", "-c", script}, Env: []string{"HOME=/root", "LANG=C.UTF-8", "DISPLAY=:1"},
	})
}

// From a container with nothing injected to a desktop that is seen and typed
// into, in both modes; and again by a front that was started anew.
func TestM6H4AVNCDesktopIsSeenAndTypedInto(t *testing.T) {
	e := enginetest.Require(t)
	b := newBrowser(t)
	name, id := debian(t, desktopScript)
	d := newDesk(t)
	p := d.serving(t, []string{"PREVIEW_RESCUE=false"}, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	token, url, hostURL := p.link(`{"port": 6080, "label": "desktop"}`)
	p.eventually("noVNC is served", func() bool {
		status, _ := p.try("GET", url+"/vnc.html", "")
		return status == 200
	})
	p.eventually("both are found by what they answer", func() bool {
		said := d.command(t, nil, "ports", name, "--json").stdout
		return strings.Count(said, `"desktop": "noVNC"`) == 2 && strings.Contains(said, "17905")
	})
	port := strings.TrimPrefix(p.url, "http://localhost:")
	const query = "/vnc.html?autoconnect=true&resize=scale"
	inPath := "http://127.0.0.1:" + port + "/preview/" + token + query
	told := inPath + "&encrypt=0&host=127.0.0.1&port=" + port + "&path="
	v := vnc{b, e, id}
	v.seenAndTypedInto("host", hostURL+query)
	v.seenAndTypedInto("path", told+"preview/"+token+"/websockify")
	v.seenAndTypedInto("slash", told+"/preview/"+token+"/websockify")
	p.signal(syscall.SIGTERM)

	p = d.serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	v.seenAndTypedInto("rescued", inPath) // nothing tells it where its socket is (M5)
}

// vnc is a browser and the container whose desktop it shows.
type vnc struct {
	*browser
	engine *docker.Engine
	id     string
}

func (v vnc) seenAndTypedInto(mode, url string) {
	v.t.Helper()
	const connected = `document.documentElement.classList.contains("noVNC_connected")`
	v.open(url)
	if !v.within(pageWithin/2, connected) {
		// On a busy machine Chromium was seen to stop in the middle of noVNC's
		// modules: it had every answer, whole, and asked for no more. Only then is
		// the page loaded once more; a request without an answer is a failure.
		require.Empty(v.t, v.waiting(), "requests that were not answered")
		require.Empty(v.t, v.failures())
		v.t.Logf("%s: Chromium waits for nothing and does not go on: the page is loaded again", mode)
		v.open(url)
	}
	v.until("noVNC connects", connected)
	v.until("the canvas shows the desktop", `(() => {
		const canvas = document.querySelector("#noVNC_container canvas");
		const pixel = canvas.getContext("2d").getImageData(20, 20, 1, 1).data;
		return canvas.width === 1024 && "#" + [...pixel].slice(0, 3).map(v => v.toString(16).padStart(2, "0")).join("") === "`+desktopColour+`";
	})()`)
	// The middle of the terminal, whatever the scale.
	at := eval[[2]float64](v.browser, `(() => {
		const r = document.querySelector("#noVNC_container canvas").getBoundingClientRect();
		return [r.left + r.width * 400 / 1024, r.top + r.height * 380 / 768];
	})()`)
	text := "seen by way of " + mode
	v.do("type", chromedp.MouseClickXY(at[0], at[1]), chromedp.KeyEvent("echo '"+text+"' > /tmp/typed"+kb.Enter))
	require.Eventually(v.t, func() bool {
		out, code, err := v.engine.Run(v.t.Context(), v.id, source.ExecSpec{Cmd: []string{"cat", "/tmp/typed"}})
		return err == nil && code == 0 && string(out) == text+"\n"
	}, pageWithin, look, "the terminal wrote what was typed")
	v.t.Logf("screenshot: %s", v.screenshot(mode))
	require.Empty(v.t, v.failures(), mode)
}
