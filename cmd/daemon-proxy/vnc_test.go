package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/engine"
	"daemon-proxy/core/engine/enginetest"
)

// desktopColour is what the desktop is filled with.
const desktopColour = "#2a6f97"

// desktopScript starts a VNC desktop with one xterm, and noVNC on 6080, all as
// Debian has them.
const desktopScript = `
Xtigervnc :1 -geometry 1024x768 -depth 24 -SecurityTypes None -rfbport 5900 -localhost &
until xsetroot -solid '` + desktopColour + `'; do sleep 0.1; done
xterm -geometry 80x12+200+300 -e /bin/sh &
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
// into, in both modes.
func TestM6H4AVNCDesktopIsSeenAndTypedInto(t *testing.T) {
	e := enginetest.Require(t)
	b := newBrowser(t)
	name, id := debian(t, desktopScript)
	d := newDesk(t)
	p := d.serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	token, url, hostURL := p.link(`{"port": 6080, "label": "desktop"}`)
	p.eventually("noVNC is served", func() bool {
		status, _ := p.try("GET", url+"/vnc.html", "")
		return status == 200
	})
	port := strings.TrimPrefix(p.url, "http://localhost:")
	const query = "/vnc.html?autoconnect=true&resize=scale"
	inPath := "http://127.0.0.1:" + port + "/preview/" + token + query
	for _, page := range []struct{ mode, url string }{
		{"host", hostURL + query},
		{"path", inPath + "&encrypt=0&host=127.0.0.1&port=" + port + "&path=preview/" + token + "/websockify"},
		{"path, with a slash", inPath + "&encrypt=0&host=127.0.0.1&port=" + port + "&path=/preview/" + token + "/websockify"},
		{"path, rescued", inPath},
	} {
		b.open(page.url)
		b.until("noVNC connects", `document.documentElement.classList.contains("noVNC_connected")`)
		b.until("the canvas shows the desktop", `(() => {
			const canvas = document.querySelector("#noVNC_container canvas");
			const pixel = canvas.getContext("2d").getImageData(20, 20, 1, 1).data;
			return canvas.width === 1024 && "#" + [...pixel].slice(0, 3).map(v => v.toString(16).padStart(2, "0")).join("") === "`+desktopColour+`";
		})()`)
		// The middle of the terminal, whatever the scale.
		at := eval[[2]float64](b, `(() => {
			const r = document.querySelector("#noVNC_container canvas").getBoundingClientRect();
			return [r.left + r.width * 400 / 1024, r.top + r.height * 380 / 768];
		})()`)
		text := "seen in " + page.mode + " mode"
		b.do("type", chromedp.MouseClickXY(at[0], at[1]), chromedp.KeyEvent("echo '"+text+"' > /tmp/typed"+kb.Enter))
		p.eventually("the terminal wrote what was typed", func() bool {
			out, code, err := e.Run(t.Context(), id, engine.ExecSpec{Cmd: []string{"cat", "/tmp/typed"}})
			return err == nil && code == 0 && string(out) == text+"\n"
		})
		t.Logf("screenshot: %s", b.screenshot(page.mode))
		require.Empty(t, b.failures(), page.mode)
	}
}
