package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/wiretest"
)

// large and huge are how much is sent in each direction.
const large, huge = 64 << 20, 1 << 30

// streamsBox runs the service of long and large answers. Its image has a daytona,
// which does not run.
func streamsBox(t *testing.T, o enginetest.RunOptions) (name, id string) {
	t.Helper()
	image := enginetest.Import(t, map[string]enginetest.File{
		"/program": {Path: enginetest.StaticGo(t, "./testdata/streams")},
		"/daytona": {Path: enginetest.StaticGo(t, "./testdata/daytona")},
		"/stop":    {Path: enginetest.StaticGo(t, "./testdata/stop")},
	}, []string{`CMD ["/program"]`})
	o.Name = enginetest.Name(t)
	return o.Name, enginetest.Run(t, image, o)
}

// bridges are the bridges that run in a container.
func bridges(t *testing.T, id string) int {
	t.Helper()
	return len(slices.DeleteFunc(enginetest.Top(t, id), func(command string) bool {
		return !strings.HasSuffix(command, "toolbox bridge")
	}))
}

// patiently is browserLike without a limit, for what takes long on a busy machine.
var patiently = &http.Client{Transport: browserLike.Transport}

// socketTo opens a WebSocket of the service through a preview.
func socketTo(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startsWithin)
	defer cancel()
	c, _, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/socket",
		&websocket.DialOptions{HTTPClient: patiently})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// streamsWork is the page of streams in one form of preview, with so many bytes in
// each direction.
func streamsWork(t *testing.T, url string, size int64) {
	t.Helper()
	c := socketTo(t, url)
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte("hello")))
	_, message, err := c.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "hello", string(message))

	events, err := patiently.Get(url + "/events")
	require.NoError(t, err)
	line, err := bufio.NewReader(events.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: first\n", line)
	events.Body.Close()

	down, err := patiently.Get(url + "/bytes/" + strconv.FormatInt(size, 10))
	require.NoError(t, err)
	defer down.Body.Close()
	hash := sha256.New()
	got, err := io.Copy(hash, down.Body)
	require.NoError(t, err)
	require.Equal(t, size, got)
	require.Equal(t, down.Trailer.Get("X-Sum"), fmt.Sprintf("%x", hash.Sum(nil)))

	hash.Reset()
	body := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), hash)
	up, err := http.NewRequest(http.MethodPut, url+"/sum", body)
	require.NoError(t, err)
	answer, err := patiently.Do(up)
	require.NoError(t, err)
	defer answer.Body.Close()
	sum, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%x", hash.Sum(nil)), string(sum))

	var all sync.WaitGroup
	answers := make(chan string, 200)
	for range cap(answers) {
		all.Go(func() {
			response, err := patiently.Get(url + "/")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			answers <- string(text)
		})
	}
	all.Wait()
	for range cap(answers) {
		require.Equal(t, "service on localhost:8080", <-answers)
	}
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte("still here")))
	_, message, err = c.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "still here", string(message))
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
}

// revokingEnds revokes a link while streams of all kinds are open through it.
func revokingEnds(t *testing.T, p *program, token, url string) {
	t.Helper()
	open := func() string { _, answer := p.try("GET", "/proxy/8080/open", ""); return answer }
	p.eventually("nothing is open", func() bool { return open() == "0" })
	c := socketTo(t, url)
	var bodies []io.Reader
	for _, path := range []string{"/events", "/bytes/" + strconv.Itoa(1<<40)} {
		response, err := patiently.Get(url + path)
		require.NoError(t, err)
		defer response.Body.Close()
		bodies = append(bodies, response.Body)
	}
	endless, stop := io.Pipe()
	defer stop.Close()
	go func() { _, _ = io.Copy(stop, rand.NewChaCha8([32]byte{})) }()
	uploaded := make(chan error, 1)
	go func() {
		up, err := http.NewRequest(http.MethodPut, url+"/sum", endless)
		if err == nil {
			var answer *http.Response
			if answer, err = patiently.Do(up); err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		}
		uploaded <- err
	}()
	p.eventually("four are open", func() bool { return open() == "4" })
	revoked := time.Now()
	p.expect(200, `"revoked":true`, "DELETE", "/api/preview/"+token, "")
	_, _, err := c.Read(t.Context())
	require.Error(t, err)
	for _, body := range bodies {
		_, _ = io.Copy(io.Discard, body)
	}
	_ = wiretest.Receive(t, uploaded, "the upload ends")
	p.eventually("the service has seen it", func() bool { return open() == "0" })
	took := time.Since(revoked)
	t.Logf("revoked in %v", took)
	require.Less(t, took, 10*time.Second)
}

// bothForms is the page of streams in both forms of a preview, and its end.
func bothForms(t *testing.T, p *program, much bool) {
	t.Helper()
	for _, hostForm := range []bool{false, true} {
		size := int64(large)
		token, url, hostURL := p.link(`{"port":8080}`)
		if hostForm {
			url = hostURL
			if much {
				size = huge
			}
		}
		streamsWork(t, url, size)
		revokingEnds(t, p, token, url)
	}
}

// via is how a sandbox is reached, and why.
func (p *program) via(name string) (via, why any) {
	p.t.Helper()
	box := listed(p, name)
	return box["via"], box["via_reason"]
}

func TestB22AContainerThatCannotBeDialledIsPreviewedThroughABridge(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		network, via string
		why          any
		flags        []string
	}{
		"no network": {"none", "exec", "it has no network address", nil},
		"forced":     {"", "exec", "docker.reach is bridge", []string{"--docker-reach", "bridge"}},
		"daytona":    {"none", "exec", "it has no network address", []string{"--binary-source-path", "daytona"}},
		"none":       {"", "direct", nil, nil},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			if label == "daytona" {
				c.flags[1] = enginetest.StaticGo(t, "./testdata/daytona")
			}
			name, id := streamsBox(t, enginetest.RunOptions{Network: c.network})
			flags := append([]string{"--daemon-mode", "docker", "--container-name", name}, c.flags...)
			p := newDesk(t).serving(t, nil, flags...)
			p.healthy()
			via, why := p.via(name)
			require.Equal(t, c.via, via)
			require.Equal(t, c.why, why)
			p.expect(200, "8080", "GET", "/api/sandboxes/"+name+"/ports", "")
			p.expect(502, `"port_closed"`, "GET", "/proxy/9999/", "")
			bothForms(t, p, label == "no network")
			if c.via == "exec" { // the programs of other tests look into the container, too, but do not stay
				p.eventually("one bridge carries everything", func() bool { return bridges(t, id) == 1 })
			}
		})
	}
}

func TestB24AContainerThatCannotBeWrittenToIsPreviewedThroughAHelper(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	for label, c := range map[string]struct {
		o     enginetest.RunOptions
		why   string
		flags []string
	}{
		"read-only":            {enginetest.RunOptions{ReadOnly: true}, "its root is read-only", nil},
		"a daytona is there":   {enginetest.RunOptions{ReadOnly: true, Network: "none"}, "its root is read-only", nil},
		"nothing is put there": {enginetest.RunOptions{}, "docker.helper is always", []string{"--docker-helper", "always"}},
		"forced":               {enginetest.RunOptions{}, "docker.reach is helper", []string{"--docker-reach", "helper"}},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, id := streamsBox(t, c.o)
			kind := "built-in"
			if label == "a daytona is there" {
				_, err := e.Start(t.Context(), id, source.ExecSpec{Cmd: []string{"/daytona"}, Env: []string{"DAYTONA_SANDBOX_ID=x", "HOME=/"}})
				require.NoError(t, err)
				kind = "daytona"
			}
			d := newDesk(t)
			p := d.serving(t, nil, append([]string{"--daemon-mode", "docker", "--container-name", name}, c.flags...)...)
			p.healthy()
			via, why := p.via(name)
			require.Equal(t, "helper", via)
			require.Equal(t, c.why, why)
			p.eventually("its daemon is "+kind, func() bool {
				_, status := p.try("GET", "/daemon/status", "")
				return strings.Contains(status, `"kind":"`+kind+`"`)
			})
			p.expect(200, "8080", "GET", "/api/sandboxes/"+name+"/ports", "")
			p.expect(502, `"port_closed"`, "GET", "/proxy/9999/", "")
			bothForms(t, p, label == "read-only")
			require.Len(t, enginetest.Helpers(t, id), 1)
			require.Empty(t, enginetest.Diff(t, id), "nothing was put there")
			_, boxes := p.try("GET", "/api/sandboxes", "")
			require.NotContains(t, boxes, "daemon-proxy-helper")
			require.Contains(t, d.done(t, "eject", name), "removed")
			require.Empty(t, enginetest.Helpers(t, id))
		})
	}
}

// way is a container that is reached in one way, and what of us is there.
type way struct {
	via, name, id string
	left          func() int // processes or containers of ours
	stop          func()     // stops them with a signal
}

// ways are containers that are reached by a bridge, and by a helper.
func ways(t *testing.T) []way {
	t.Helper()
	e := enginetest.Require(t)
	t.Cleanup(func() { require.NoError(t, e.RemoveHelperImages(context.WithoutCancel(t.Context()))) })
	bridged, bridgedID := streamsBox(t, enginetest.RunOptions{Network: "none", RestartPolicy: "always"})
	helped, helpedID := streamsBox(t, enginetest.RunOptions{ReadOnly: true, RestartPolicy: "always"})
	return []way{
		{"exec", bridged, bridgedID, func() int { return bridges(t, bridgedID) }, func() {
			_, code, err := e.Run(t.Context(), bridgedID, source.ExecSpec{Cmd: []string{"/stop"}})
			require.NoError(t, err)
			require.Zero(t, code)
		}},
		{"helper", helped, helpedID, func() int { return len(enginetest.Helpers(t, helpedID)) }, func() {
			for _, id := range enginetest.Helpers(t, helpedID) {
				enginetest.Kill(t, id, "STOP")
			}
		}},
	}
}

// comesBack waits until a preview works, and one bridge or helper is left.
func (w way) comesBack(p *program, url string) {
	p.t.Helper()
	p.eventually("the preview works again", func() bool {
		status, answer := p.try("GET", url+"/", "")
		return status == 200 && strings.Contains(answer, "service on")
	})
	p.eventually("one is left", func() bool { return w.left() == 1 })
}

// engineSocket is where the engine listens on this machine.
func engineSocket(t *testing.T) string {
	t.Helper()
	path, ok := strings.CutPrefix(enginetest.Require(t).Endpoint(), "unix://")
	if !ok {
		wiretest.Skip(t, "the engine is not at a socket of this machine")
	}
	return path
}

func TestB25NothingOfABridgeOrHelperIsLeftAndThePreviewComesBack(t *testing.T) {
	t.Parallel()
	for _, w := range ways(t) {
		t.Run(w.via, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			cable := newCable(t, engineSocket(t))
			flags := []string{"--daemon-mode", "docker", "--container-name", w.name, "--docker-host", "tcp://" + cable.Addr().String()}
			first := d.serving(t, nil, flags...)
			first.healthy()
			via, _ := first.via(w.name)
			require.Equal(t, w.via, via)
			_, url, _ := first.link(`{"port":8080}`)
			w.comesBack(first, url)
			socketTo(t, url)
			first.signal(syscall.SIGKILL)
			require.Eventually(t, func() bool { return w.left() == 0 }, startsWithin, look, "it ends with the program")

			second := d.serving(t, nil, flags...)
			w.comesBack(second, url)
			enginetest.Restart(t, w.id)
			w.comesBack(second, url)
			w.stop()
			w.comesBack(second, url)
			cable.pull()
			w.comesBack(second, url)
			require.Equal(t, 0, second.signal(syscall.SIGTERM))
			require.Eventually(t, func() bool { return w.left() == 0 }, startsWithin, look, "it ends with the program")
			if w.via == "helper" {
				require.Empty(t, enginetest.Diff(t, w.id))
			}
		})
	}
}

// The engine is one that the test has started.
func TestB25NothingIsLeftAfterARestartOfTheEngine(t *testing.T) {
	second := enginetest.StartSecond(t)
	t.Setenv("DOCKER_HOST", second.Host)
	for _, w := range ways(t) {
		t.Run(w.via, func(t *testing.T) {
			p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", w.name, "--docker-host", second.Host)
			p.healthy()
			via, _ := p.via(w.name)
			require.Equal(t, w.via, via)
			_, url, _ := p.link(`{"port":8080}`)
			w.comesBack(p, url)
			for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
				second.Restart(t, signal)
				w.comesBack(p, url)
			}
			require.Equal(t, 0, p.signal(syscall.SIGTERM))
			require.Eventually(t, func() bool { return w.left() == 0 }, startsWithin, look, "it ends with the program")
		})
	}
}

// cable is a relay whose connections can be lost without either side hearing of it.
type cable struct {
	*wiretest.Relay
	whole atomic.Pointer[chan struct{}] // closed once the connections of that time are lost
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	c := &cable{}
	whole := make(chan struct{})
	c.whole.Store(&whole)
	c.Relay = wiretest.NewRelayTo(t, "unix", to, func(dst, src net.Conn) {
		lost := *c.whole.Load()
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			select {
			case <-lost:
				<-t.Context().Done()
				return
			default:
			}
			if _, failed := dst.Write(buf[:n]); err != nil || failed != nil {
				return
			}
		}
	})
	return c
}

// pull loses all connections; those that are made afterwards work.
func (c *cable) pull() {
	next := make(chan struct{})
	close(*c.whole.Swap(&next))
}

func TestB23NothingOfABridgeIsLeftAndThePreviewComesBack(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, id := streamsBox(t, enginetest.RunOptions{Network: "none"})
	d := newDesk(t)
	flags := []string{"--daemon-mode", "docker", "--container-name", name}
	first := d.serving(t, nil, flags...)
	first.healthy()
	_, url, _ := first.link(`{"port":8080}`)
	first.expect(200, "service on", "GET", url+"/", "")
	socketTo(t, url)
	first.eventually("there is one bridge", func() bool { return bridges(t, id) == 1 })
	first.signal(syscall.SIGKILL)
	require.Eventually(t, func() bool { return bridges(t, id) == 0 }, startsWithin, look, "the bridge ends with the desk")

	second := d.serving(t, nil, flags...)
	comesBack := func() {
		t.Helper()
		second.eventually("the preview works again", func() bool {
			status, answer := second.try("GET", url+"/", "")
			return status == 200 && strings.Contains(answer, "service on")
		})
		second.eventually("one bridge is left", func() bool { return bridges(t, id) == 1 })
	}
	comesBack()
	enginetest.Restart(t, id)
	comesBack()
	require.Equal(t, 0, second.signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return bridges(t, id) == 0 }, startsWithin, look, "the bridge ends with the desk")
}
