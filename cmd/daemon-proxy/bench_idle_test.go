//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

const (
	// reverseProxyEnv makes the test binary the standard library's proxy, from
	// the address before the space to the one behind it.
	reverseProxyEnv = "DAEMON_PROXY_BENCH_REVERSE_PROXY"

	idleFor      = 10 * time.Second
	mostIdle     = 5000
	fewestIdle   = 500
	filesForEach = 4 // as daemon-proxy counts them: its client, and three for a service of its own machine
)

// BenchmarkIdle is the resident memory for each idle connection, of programs
// that were just started.
func BenchmarkIdle(b *testing.B) {
	if testing.Short() {
		b.Skip("takes a minute and a half")
	}
	var limit syscall.Rlimit
	require.NoError(b, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	count := int(min(mostIdle, limit.Max*3/4/filesForEach))
	if count < fewestIdle {
		b.Skipf("%d files may be open: too few for %d connections", limit.Max, fewestIdle)
	}
	daemon := httptest.NewServer(http.HandlerFunc(idleDaemon))
	b.Cleanup(daemon.Close)
	for _, kind := range []struct{ name, path, header, answer string }{
		{"keep-alive", "/proxy/3000/", "", "200 OK"},
		{"websocket", "/proxy/3000/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "101 Switching Protocols"},
	} {
		var each map[string]float64
		b.Run(kind.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			if each == nil { // a higher b.N brings no more
				each = map[string]float64{}
				request := "GET " + kind.path + " HTTP/1.1\r\nHost: localhost\r\n" + kind.header + "\r\n"
				for name, start := range map[string]func(*testing.B, string) (string, int){
					"daemon-proxy": startOurs, "nginx": startNginx, "ReverseProxy": startReverseProxy,
				} {
					if addr, pid := start(b, daemon.Listener.Addr().String()); pid != 0 {
						each[name] = idleKiB(b, addr, pid, count, request, kind.answer)
					}
				}
			}
			for name, kib := range each {
				b.ReportMetric(kib, "KiB/"+name)
			}
		})
	}
}

// idleDaemon answers every request with a few bytes, or with a WebSocket that
// stays silent.
func idleDaemon(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		_, _ = io.WriteString(w, `{"version":"v1"}`)
		return
	}
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, "answer")
		return
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{c})
}

// idleKiB opens that many connections, lets each carry one request, and
// returns by how much each has made the process larger when all have been idle.
func idleKiB(b *testing.B, addr string, pid, count int, request, answer string) float64 {
	b.Helper()
	before, err := resident(pid)
	require.NoError(b, err)
	conns := make([]net.Conn, count)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	const workers = 16
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < count; i += workers {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Error(err)
					return
				}
				conns[i] = c
				_, _ = io.WriteString(c, request)
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil || !strings.Contains(line, answer) {
					b.Errorf("the answer begins with %q: %v", line, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.False(b, b.Failed())
	time.Sleep(idleFor)
	after, err := resident(pid)
	require.NoError(b, err)
	return (after - before) * 1024 / float64(count)
}

func startOurs(b *testing.B, daemon string) (string, int) {
	b.Helper()
	d := newDesk(b)
	_, port, err := net.SplitHostPort(daemon)
	require.NoError(b, err)
	cmd := exec.Command(d.binary, "--no-tui", "--daemon-mode", "host", "--log-level", "WARNING")
	cmd.Dir, cmd.Env = d.dir, append(d.environment(), "DAEMON_PORT="+port)
	return startFront(b, cmd, d.port)
}

func startReverseProxy(b *testing.B, daemon string) (string, int) {
	b.Helper()
	port := wiretest.FreePort(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), reverseProxyEnv+"=127.0.0.1:"+strconv.Itoa(port)+" "+daemon)
	return startFront(b, cmd, port)
}

func playReverseProxy(addresses string) {
	from, to, _ := strings.Cut(addresses, " ")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	log.Fatal(http.ListenAndServe(from, proxy))
}

// startNginx returns no process where there is no nginx.
func startNginx(b *testing.B, daemon string) (string, int) {
	b.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Println("without nginx:", err)
		return "", 0
	}
	dir, port := b.TempDir(), wiretest.FreePort(b)
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(b, os.WriteFile(conf, fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log crit;
events { worker_connections 16384; }
http {
  access_log off; keepalive_timeout 1h;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  upstream daemon { server %[2]s; keepalive 128; }
  map $http_upgrade $upgrading { default upgrade; "" ""; }
  server {
    listen 127.0.0.1:%[3]d;
    location / {
      proxy_pass http://daemon; proxy_http_version 1.1;
      proxy_set_header Connection $upgrading; proxy_set_header Upgrade $http_upgrade;
    }
  }
}
`, dir, daemon, port), 0o600))
	return startFront(b, exec.Command(path, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log")), port)
}

// startFront starts cmd, waits until it answers a request that it forwards, and
// ends it with the benchmark.
func startFront(b *testing.B, cmd *exec.Cmd, port int) (string, int) {
	b.Helper()
	cmd.Stderr = os.Stderr
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	require.Eventually(b, func() bool {
		response, err := http.Get("http://" + addr + "/proxy/3000/")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, startsWithin, look, cmd.Path)
	return addr, cmd.Process.Pid
}
