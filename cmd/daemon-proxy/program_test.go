package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/server"
	"daemon-proxy/core/server/contract"
	"daemon-proxy/core/wiretest"
)

const (
	startsWithin = 60 * time.Second // a start, an injection, a recovery on a busy machine
	endsWithin   = 20 * time.Second
	look         = 20 * time.Millisecond
)

// desk is a person's machine: a home and a working directory of their own.
type desk struct {
	dir, binary string
	port        int
	sshProgram  string              // its ssh, of a desk that has its own
	user        *syscall.Credential // who runs the program; nil: the user who runs the test
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	return &desk{dir: t.TempDir(), binary: enginetest.StaticGo(t, "daemon-proxy/cmd/daemon-proxy"), port: wiretest.FreePort(t)}
}

// program is one run of the real binary.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	stderr *wiretest.Buffer
	ended  chan struct{}
}

// environment is the desk's own: nothing of the person's who runs the test.
func (d *desk) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir,
		"XDG_STATE_HOME=" + filepath.Join(d.dir, "state"), "XDG_CACHE_HOME=" + filepath.Join(d.dir, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(d.dir, "config"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"),
		"DAEMON_PROXY_PORT=" + strconv.Itoa(d.port),
	}
}

// run starts the program and does not wait for anything. Of env, entries are KEY=VALUE.
func (d *desk) run(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, url: "http://localhost:" + strconv.Itoa(d.port), stderr: &wiretest.Buffer{}, ended: make(chan struct{})}
	p.cmd = exec.Command(d.binary, args...)
	p.cmd.Dir = d.dir
	p.cmd.Env = append(d.environment(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stderr, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.user}
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the program wrote:\n%s", p.stderr)
		}
	})
	return p
}

// serving runs the program and waits until it answers.
func (d *desk) serving(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := d.run(t, env, append([]string{"--no-tui"}, args...)...)
	p.eventually("the program answers", func() bool {
		status, _ := p.try("GET", "/health", "")
		return status == http.StatusOK
	})
	return p
}

// healthy waits for the daemon of the default sandbox.
func (p *program) healthy() {
	p.t.Helper()
	p.eventually("the daemon is healthy", func() bool {
		return p.json("GET", "/daemon/status", "")["state"] == "healthy"
	})
}

func (p *program) eventually(what string, ok func() bool) {
	p.t.Helper()
	require.Eventually(p.t, ok, startsWithin, look, what)
}

// signal sends a signal and returns the exit code.
func (p *program) signal(s syscall.Signal) int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
	return p.exit()
}

// exit waits for the end and returns the exit code.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(endsWithin):
		require.FailNow(p.t, "the program did not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// browserLike dials this machine for every name, as browsers do for *.localhost.
var browserLike = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}},
}

// try is one request as curl makes it; the status is 0 if there was no answer.
func (p *program) try(method, target, body string, header ...string) (int, string) {
	p.t.Helper()
	path := target
	if strings.HasPrefix(target, "/") {
		target = p.url + target
	}
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	require.NoError(p.t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := browserLike.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	if strings.HasPrefix(path, "/") {
		contract.Load(p.t, server.OpenAPI()).Check(p.t, method, path, response.StatusCode, response.Header, answer)
	}
	return response.StatusCode, string(answer)
}

// expect is try with the answer that it must have.
func (p *program) expect(status int, contains, method, target, body string, header ...string) string {
	p.t.Helper()
	got, answer := p.try(method, target, body, header...)
	require.Equal(p.t, status, got, "%s %s: %s", method, target, answer)
	require.Contains(p.t, answer, contains, "%s %s", method, target)
	return answer
}

// json is the decoded answer, nil if it was not JSON.
func (p *program) json(method, target, body string, header ...string) map[string]any {
	p.t.Helper()
	_, answer := p.try(method, target, body, header...)
	var value map[string]any
	if json.Unmarshal([]byte(answer), &value) != nil {
		return nil
	}
	return value
}

// link makes a preview link.
func (p *program) link(body string) (token, url, hostURL string) {
	p.t.Helper()
	answer := p.expect(http.StatusOK, "token", "POST", "/api/preview/create", body, "Content-Type", "application/json")
	var link struct {
		Token, URL string
		HostURL    string `json:"host_url"`
	}
	require.NoError(p.t, json.Unmarshal([]byte(answer), &link))
	return link.Token, link.URL, link.HostURL
}

// container runs the test service in an image with a shell.
func container(t *testing.T, options enginetest.RunOptions, more map[string]enginetest.File) (name, id string) {
	t.Helper()
	files := enginetest.BusyboxFiles(t)
	files["/service"] = enginetest.File{Path: enginetest.StaticGo(t, "./testdata/service")}
	for path, file := range more {
		files[path] = file
	}
	image := enginetest.Import(t, files, []string{`CMD ["/service"]`, "ENV PATH=/bin"})
	options.Name = enginetest.Name(t)
	return options.Name, enginetest.Run(t, image, options)
}
