package server

import (
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/wiretest"
)

func TestS5PortsAreStrict(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, port := range []string{
		"0", "080", "+80", "-80", "80%20", "%38%30", "８０", "80@h", "80@localhost:3000", "65536", "99999", "100000", "80:90", "8e1", "0x50", "80.", "80;x", "", "80,81", "80%2Fx", "80%00",
	} {
		for _, root := range []string{"/proxy/", "/sandboxes/web/proxy/"} {
			for _, rest := range []string{"", "/", "/x?y"} {
				got := f.raw(request("GET", root+port+rest, f.host, ""))
				require.Equal(t, 400, got.StatusCode, root+port+rest)
				requireProblem(t, got, api.CodeBadPort)
			}
		}
	}
	require.Zero(t, f.boxes.dials.Load())
	for _, port := range []string{"1", "80", "65535"} {
		require.Equal(t, 200, f.raw(request("GET", "/proxy/"+port+"/", f.host, "")).StatusCode, port)
		require.Equal(t, "/proxy/"+port+"/", target(t, d.One(t)))
	}
	for _, body := range []string{`{"port":0}`, `{"port":-1}`, `{"port":65536}`, `{"port":"80"}`, `{"port":80.5}`, `{"port":null}`, `{}`, `null`, `{"port":8e1000}`} {
		got := f.do("POST", "/api/preview/create", body, "Content-Type: application/json")
		require.Equal(t, 400, got.StatusCode, body)
	}
	require.Empty(t, f.links.List())
}

func TestS5TheDaemonsPortsAreClosed(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr, func(s *settings) { s.config.Daemon.Port = 4280; s.links.DaemonPort = 4280 })
	for _, port := range []int{2280, 22220, 22222, 33333, 4280} {
		p := strconv.Itoa(port)
		for _, target := range []string{"/proxy/" + p + "/version", "/proxy/" + p, "/sandboxes/web/proxy/" + p + "/", "/proxy/" + p + "/proxy/3000/"} {
			for _, headers := range []string{"", "X-Allow-Daemon-Port: false\r\n", upgradeHeaders} {
				got := f.raw(request("GET", target, f.host, headers))
				require.Equal(t, 403, got.StatusCode, target)
				requireProblem(t, got, api.CodeDaemonPort)
			}
		}
		require.Zero(t, f.boxes.dials.Load())
		got := f.do("POST", "/api/preview/create", `{"port":`+p+`}`, "Content-Type: application/json")
		require.Equal(t, 403, got.StatusCode)
		requireProblem(t, got, api.CodeDaemonPort)
	}
	require.Zero(t, f.boxes.dials.Load())
}

func TestS5TheDaemonsPortsOpenWhenMeant(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	got := f.raw(request("GET", "/proxy/2280/version", f.host, "X-Allow-Daemon-Port: true\r\n"))
	require.Equal(t, 200, got.StatusCode)
	head := d.One(t)
	require.Equal(t, "/proxy/2280/version", target(t, head))
	require.Empty(t, wiretest.Values(head, "X-Allow-Daemon-Port"))

	got = f.do("POST", "/api/preview/create", `{"port":2280,"allow_daemon_port":true}`, "Content-Type: application/json")
	require.Equal(t, 200, got.StatusCode)
	for _, m := range f.modes(f.links.List()[0]) {
		require.Equal(t, 200, f.get(m.prefix+"/version", "Host: "+m.host).StatusCode)
	}
	page := f.get("/proxy/2280/", "X-Allow-Daemon-Port: true", "Sec-Fetch-Site: same-origin")
	require.Equal(t, 403, page.StatusCode, "a page cannot say so")

	locked := newFront(t, d.Addr, withKey)
	require.Equal(t, 401, locked.get("/proxy/2280/", "X-Allow-Daemon-Port: true").StatusCode)
	require.Equal(t, 403, locked.get("/proxy/2280/", "X-API-Key: "+apiKey).StatusCode)
	require.Equal(t, 200, locked.get("/proxy/2280/", "X-API-Key: "+apiKey, "X-Allow-Daemon-Port: true").StatusCode)
}

func TestS5APortThatBecameTheDaemonsIsClosed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	before, err := preview.Open(t.Context(), preview.Options{StateFile: file})
	require.NoError(t, err)
	link, err := before.Create(preview.Request{Sandbox: web, Port: 4280}) // while the daemon had another port
	require.NoError(t, err)
	require.NoError(t, before.Close())
	f := newFront(t, "127.0.0.1:1", func(s *settings) {
		s.config.Daemon.Port, s.links.DaemonPort, s.links.StateFile = 4280, 4280, file
	})
	for _, m := range f.modes(link) {
		got := f.get(m.prefix+"/", "Host: "+m.host)
		require.Equal(t, 403, got.StatusCode, m.name)
		requireProblem(t, got, api.CodeDaemonPort)
	}
	require.Zero(t, f.boxes.dials.Load())
}

func TestS6ARequestChoosesNoOtherUpstream(t *testing.T) {
	t.Parallel()
	right := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
	wrong := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
	f := newFront(t, right.Addr)
	f.boxes.change("other", func(b *box) { b.up = reach(wrong.Addr) })
	link := f.linkOf(preview.Request{Sandbox: web, Port: 3000})
	ways := append(f.modes(link), way{name: "proxy", host: f.host, prefix: "/proxy/3000"}, way{name: "sandbox", host: f.host, prefix: "/sandboxes/web/proxy/3000"})
	for _, m := range ways {
		for _, path := range []string{"/http://" + wrong.Addr + "/", "//" + wrong.Addr + "/", "/@" + wrong.Addr, "/?url=http://" + wrong.Addr, "/sandboxes/other/proxy/3000/", "/?sandbox=other"} {
			got := f.raw(request("GET", m.prefix+path, m.host, "X-Forwarded-Host: "+wrong.Addr+"\r\nForwarded: host="+wrong.Addr+"\r\nX-Sandbox: other\r\nX-Host: "+wrong.Addr+"\r\nX-Original-URL: /sandboxes/other/proxy/3000/\r\n"))
			require.Equal(t, "right", got.Body, "%s %s", m.name, path)
			require.Equal(t, []string{right.Addr}, wiretest.Values(right.One(t), "Host"))
		}
	}
	require.Zero(t, wrong.Conns.Load())
	require.Equal(t, "wrong", f.get("/sandboxes/other/proxy/3000/").Body, "the route does")
}

func TestS9HostileAnswersAre502(t *testing.T) {
	t.Parallel()
	long := make([]byte, 2<<20)
	for i := range long {
		long[i] = 'a'
	}
	var interim string
	for range 20 {
		interim += "HTTP/1.1 103 Early Hints\r\n\r\n"
	}
	for name, answer := range map[string]string{
		"no HTTP":                    "SSH-2.0-OpenSSH_9.6\r\n\r\n",
		"a huge head":                "HTTP/1.1 200 OK\r\nX: " + string(long) + "\r\n\r\n",
		"many interim answers":       interim + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"a status of no number":      "HTTP/1.1 abc OK\r\n\r\n",
		"a status too small":         "HTTP/1.1 042 x\r\nContent-Length: 0\r\n\r\n",
		"a status too long":          "HTTP/1.1 2000 x\r\nContent-Length: 0\r\n\r\n",
		"a bad chunk":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"two lengths":                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"a bad length":               "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a NUL in a header":          "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
		"a switch nobody asked for":  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/2":                     "HTTP/2.0 200 OK\r\n\r\n",
		"an unknown transfer coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				if _, err := c.Head(); err == nil {
					_, _ = c.Write([]byte(answer))
				}
			})
			f := newFront(t, d.Addr)
			for _, m := range f.modes(f.link(3000)) {
				got := f.raw(request("GET", m.prefix+"/", m.host, ""))
				require.Equal(t, http.StatusBadGateway, got.StatusCode, m.name)
				requireProblem(t, got, api.CodeBadUpstream)
			}
			require.Equal(t, 200, f.get("/health").StatusCode)
		})
	}
}
