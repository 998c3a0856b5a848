package toolbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/http/pprof"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/proxy"
)

// roleEnv makes a process of the test binary play a part in BenchmarkForward.
const roleEnv = "DAEMON_PROXY_BENCH_ROLE"

// startRole starts such a process and returns its address. It ends with the
// benchmark, whose end of its standard input is the sign.
func startRole(b *testing.B, role string, args ...string) (addr string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err, role)
	return strings.TrimSpace(line), cmd.Process.Pid
}

// playRole is what such a process does.
func playRole(role string) {
	var handler http.Handler
	switch role {
	case "service":
		handler = serviceRole()
	case "daemon":
		box, err := New(Options{Secret: benchSecret})
		if err != nil {
			log.Fatal(err)
		}
		handler = box
	case "ours":
		handler = oursRole(os.Args[1])
	case "reverseproxy":
		handler = reverseProxyRole(os.Args[1])
	default:
		log.Fatalf("no role %q", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(http.Serve(l, handler))
}

func serviceRole() http.Handler {
	fixed := func(n int) http.HandlerFunc {
		body := make([]byte, n)
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.Itoa(n))
			w.Header().Set("Cache-Control", "no-cache")
			_, _ = w.Write(body)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/small", fixed(128))
	mux.Handle("/large", fixed(100<<10))
	mux.HandleFunc("/ws", func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
	})
	return mux
}

// oursRole forwards the way core/server does. target is "host:port/prefix".
func oursRole(target string) http.Handler {
	addr, prefix, _ := strings.Cut(target, "/")
	p := proxy.New(proxy.Options{})
	dialer := &net.Dialer{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, "/debug/pprof/profile") {
			pprof.Profile(w, r)
			return
		}
		result, err := p.Forward(w, r, proxy.Target{
			Dial: func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) },
			Pool: addr, Authority: addr, RequestURI: "/" + prefix + r.RequestURI,
			Header: func(h http.Header) {
				h[daemon.SecretHeader] = []string{benchSecret}
				h["X-Forwarded-Proto"] = []string{"http"}
			},
		})
		switch {
		case result.Tunnel != nil:
			p.Go(func() { result.Tunnel(context.Background()) })
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
}

// reverseProxyRole is the standard library's proxy with its knobs turned for this.
func reverseProxyRole(target string) http.Handler {
	u, err := url.Parse("http://" + target)
	if err != nil {
		log.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.SetXForwarded()
			r.Out.Header.Set(daemon.SecretHeader, benchSecret)
		},
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10},
		BufferPool: &buffers{},
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 64<<10)
}
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

const nginxConfig = `daemon off;
worker_processes 2;
%[4]s
pid %[1]s/pid;
error_log %[1]s/error.log crit;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  upstream daemon { server %[2]s; keepalive 128; keepalive_requests 1000000000; }
  map $http_upgrade $upgrading { default upgrade; "" ""; }
  server {
    listen %[5]s;
    location / {
      proxy_pass http://daemon%[3]s/;
      proxy_http_version 1.1;
      proxy_set_header Connection $upgrading;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto http;
      proxy_set_header %[6]s %[7]s;
      proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
    }
  }
}
`

// startNginx starts nginx as it would be set up for this, and returns its
// address and its workers; an error says why there is none.
func startNginx(b *testing.B, upstream, prefix string) (addr string, workers func() []int, err error) {
	b.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	l.Close()
	dir := b.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its workers could not read the folder otherwise
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, dir, upstream, prefix, user, addr, daemon.SecretHeader, benchSecret)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	var said strings.Builder
	cmd := exec.Command(path, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); <-ended })
	for deadline := time.Now().Add(5 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		select {
		case err := <-ended:
			ended <- err
			return "", nil, fmt.Errorf("%w: %s", err, said.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return "", nil, errors.New("it does not listen")
		}
	}
	return addr, func() []int { return childrenOf(cmd.Process.Pid) }, nil
}

func childrenOf(pid int) (children []int) {
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(list)) {
		if n, err := strconv.Atoi(f); err == nil {
			children = append(children, n)
		}
	}
	return children
}
