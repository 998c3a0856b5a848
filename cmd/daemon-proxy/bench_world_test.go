//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const benchBody = 128 // bytes of the service's answer

// crowded is a Docker engine that speaks HTTP, with many running containers. In
// each of them a daemon answers, on a loopback address of its own.
type crowded struct {
	containers int
	socket     string // the engine's
	port       int    // every daemon's
}

func newCrowded(b *testing.B, containers int) *crowded {
	b.Helper()
	c := &crowded{containers: containers, socket: filepath.Join(b.TempDir(), "engine")}
	daemon := &http.Server{Handler: http.HandlerFunc(daemonAnswers), ReadHeaderTimeout: time.Minute}
	engine := &http.Server{Handler: http.HandlerFunc(c.engineAnswers), ReadHeaderTimeout: time.Minute}
	b.Cleanup(func() { _, _ = daemon.Close(), engine.Close() })
	for i := range containers {
		l, err := net.Listen("tcp", net.JoinHostPort(address(i), strconv.Itoa(c.port)))
		require.NoError(b, err)
		c.port = l.Addr().(*net.TCPAddr).Port // of the first, and then of all
		go func() { _ = daemon.Serve(l) }()
	}
	l, err := net.Listen("unix", c.socket)
	require.NoError(b, err)
	go func() { _ = engine.Serve(l) }()
	return c
}

// environment is what makes the program find the engine and its daemons.
func (c *crowded) environment() []string {
	return []string{"DOCKER_HOST=unix://" + c.socket, "DAEMON_PORT=" + strconv.Itoa(c.port), "DAEMON_CONTAINER_NAME=worker-000"}
}

func address(i int) string { return fmt.Sprintf("127.77.%d.%d", i/200, 1+i%200) }

func daemonAnswers(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/version":
		_, _ = io.WriteString(w, `{"version":"0.190.0"}`)
	case r.URL.Path == "/port":
		_, _ = io.WriteString(w, `{"ports":[3000]}`)
	case strings.HasPrefix(r.URL.Path, "/proxy/3000/"):
		w.Header().Set("Content-Length", strconv.Itoa(benchBody))
		_, _ = w.Write(make([]byte, benchBody))
	default:
		http.NotFound(w, r)
	}
}

func (c *crowded) engineAnswers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	switch path := r.URL.Path; {
	case path == "/_ping":
	case strings.HasSuffix(path, "/version"):
		_, _ = io.WriteString(w, `{"Version":"99.1","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}`)
	case strings.HasSuffix(path, "/containers/json"):
		all := make([]string, c.containers)
		for i := range all {
			all[i] = fmt.Sprintf(`{"Id":"%064x","Names":["/worker-%03d"],"Image":"node:22","ImageID":"sha256:%064x","State":"running",`+
				`"Labels":{"com.docker.compose.project":"p%02d"},%s}`, i+1, i, i%9, i%20, networkOf(i))
		}
		_, _ = io.WriteString(w, "["+strings.Join(all, ",")+"]")
	case strings.HasSuffix(path, "/json") && strings.Contains(path, "/containers/"):
		id := strings.TrimSuffix(path[strings.Index(path, "/containers/")+len("/containers/"):], "/json")
		i, err := strconv.ParseInt(id, 16, 64)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, `{"Id":%q,"Name":"/worker-%03d","State":{"Status":"running","Running":true},"Config":{"Image":"node:22"},%s}`,
			id, i-1, networkOf(int(i-1)))
	case strings.HasSuffix(path, "/exec"): // cat /proc/net/tcp, with which a daemon is found to be in its container
		_, _ = io.WriteString(w, `{"Id":"cat"}`)
	case strings.HasSuffix(path, "/exec/cat/json"):
		_, _ = io.WriteString(w, `{"ID":"cat","Running":false,"ExitCode":0}`)
	case strings.HasSuffix(path, "/exec/cat/start"):
		catSockets(w)
	case strings.HasSuffix(path, "/events"):
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"message":"no route %s"}`, path)
	}
}

// networkOf is what the engine says of the i-th container's network.
func networkOf(i int) string {
	return fmt.Sprintf(`"HostConfig":{"NetworkMode":"bridge"},"NetworkSettings":{"Networks":{"bridge":{"IPAddress":%q}}}`, address(i))
}

// catSockets answers the start of an exec with this machine's sockets: those of
// the daemons are among them.
func catSockets(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"+
		"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table) // there may be no IPv6
		head := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(text)))
		_, _ = conn.Write(append(head, text...))
	}
}

// newMute is the socket of an engine that accepts and never answers.
func newMute(b *testing.B) (socket string) {
	b.Helper()
	socket = filepath.Join(b.TempDir(), "mute")
	l, err := net.Listen("unix", socket)
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.Cleanup(func() { c.Close() })
		}
	}()
	return socket
}

// load asks the program on several connections until the time is over, at that
// many requests a second (0: as fast as it answers) or until that many were
// answered (0: no matter), and returns how many were answered a second.
func load(b *testing.B, port, perSecond, most int, long time.Duration) float64 {
	b.Helper()
	const connections = 16
	var answered, begun atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	failed := make(chan error, connections)
	for range connections {
		group.Go(func() {
			failed <- askRepeatedly(port, func() bool {
				n := begun.Add(1)
				if perSecond > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
				}
				return time.Since(start) < long && (most == 0 || n <= int64(most))
			}, &answered)
		})
	}
	group.Wait()
	took := time.Since(start)
	for range connections {
		require.NoError(b, <-failed)
	}
	return float64(answered.Load()) / took.Seconds()
}

// askRepeatedly asks on one connection for as long as more says so.
func askRepeatedly(port int, more func() bool, answered *atomic.Int64) error {
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	br := bufio.NewReader(c)
	for more() {
		if _, err := io.WriteString(c, "GET /proxy/3000/app/main.js?v=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"); err != nil {
			return err
		}
		for first := true; ; first = false {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return err
			}
			if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("the answer begins with %q", line)
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := br.Discard(benchBody); err != nil {
			return err
		}
		answered.Add(1)
	}
	return nil
}
