package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
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

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/wiretest"
)

// said is what a command printed and how it ended.
type said struct {
	code           int
	stdout, stderr string
}

// command runs the binary on a desk until it ends.
func (d *desk) command(t *testing.T, env []string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.Dir, cmd.Env = d.dir, append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "XDG_STATE_HOME=" + filepath.Join(d.dir, "state"), "XDG_CACHE_HOME=" + filepath.Join(d.dir, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(d.dir, "config"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"),
	}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // its exit code says it
	return said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// done is the output of a command that must succeed.
func (d *desk) done(t *testing.T, args ...string) string {
	t.Helper()
	got := d.command(t, nil, args...)
	require.Zero(t, got.code, "%v: %s", args, got.stderr)
	require.Empty(t, got.stderr, "%v", args)
	return got.stdout
}

// onTheHost is a service of this machine; it answers with the path.
func onTheHost(t *testing.T) (port string) {
	t.Helper()
	return strconv.Itoa(wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("you asked for " + r.URL.Path))
	})))
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func TestTheCommandsTalkToTheCoreThatRuns(t *testing.T) {
	t.Parallel()
	port := onTheHost(t)
	d := newDesk(t)
	p := d.serving(t, nil, "--daemon-mode", "host")
	p.healthy()

	status := d.done(t, "status")
	require.Contains(t, status, "healthy")
	require.Contains(t, status, p.url)
	require.Equal(t, "healthy", decode[api.Health](t, d.done(t, "status", "--json")).Status)

	urls := strings.Fields(d.done(t, "preview", "create", port, "--label", "my \x1b[31msite", "--ttl", "1h"))
	require.Len(t, urls, 2)
	token := strings.TrimPrefix(urls[1], p.url+"/preview/")
	require.Equal(t, "http://"+token+"."+strings.TrimPrefix(p.url, "http://"), urls[0])
	p.expect(200, "you asked for /x", "GET", urls[1]+"/x", "")
	p.expect(200, "you asked for /x", "GET", urls[0]+"/x", "")

	list := d.done(t, "preview", "list")
	require.Contains(t, list, "active")
	require.NotContains(t, list, "\x1b", "a label steers the terminal")
	require.NotContains(t, list, token)
	require.Contains(t, d.done(t, "preview", "list", "--urls"), urls[0])
	links := decode[api.Links](t, d.done(t, "preview", "list", "--json")).Links
	require.Len(t, links, 1)
	require.Equal(t, time.Hour, links[0].ExpiresAt.Sub(links[0].CreatedAt))
	for _, typed := range [][]string{{"preview", "revoke", ""}, {"preview", "open", ""}} {
		require.Contains(t, d.command(t, nil, append([]string{"__complete"}, typed...)...).stdout, links[0].ID+"\thost:"+port, "%v", typed)
	}
	for _, typed := range [][]string{{"inject", ""}, {"ports", ""}, {"logs", ""}, {"stop", ""}, {"status", ""}, {"preview", "create", "80", "--sandbox", ""}} {
		require.Contains(t, d.command(t, nil, append([]string{"__complete"}, typed...)...).stdout, "host\t", "%v", typed)
	}
	require.NotContains(t, d.command(t, nil, "__complete", "inject", "host", "").stdout, "host\t", "there is no second")
	short := decode[api.Link](t, d.done(t, "preview", "create", port, "--ttl", "300ms", "--json"))
	require.NotNil(t, short.ExpiresAt, "a moment is not for ever")

	requests := d.done(t, "requests", "--filter", "path:/x")
	require.Equal(t, 2, strings.Count(requests, "/x\n"), requests)
	require.Len(t, decode[api.ExchangeList](t, d.done(t, "requests", "--json", "--limit", "1")).Requests, 1)

	require.Contains(t, d.done(t, "sandboxes"), "host")
	require.Len(t, decode[api.SandboxList](t, d.done(t, "sandboxes", "--json")).Sandboxes, 1)
	require.Contains(t, d.done(t, "ports", "host"), port)
	require.Contains(t, d.done(t, "logs", "--source", "program", "--tail", "500"), "daemon-proxy serves")

	require.Equal(t, "revoked\n", d.done(t, "preview", "revoke", links[0].ID))
	p.expect(410, "link_revoked", "GET", urls[1]+"/x", "")
	got := d.command(t, nil, "preview", "revoke", "nosuchlink")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "try:")
	require.Equal(t, exitFailed, d.command(t, nil, "preview", "create", port, "--sandbox", "nobody").code)
	for _, wrong := range [][]string{{"preview", "create"}, {"preview", "create", "x"}, {"preview"}, {"requests", "--filter", "nothing:x"}, {"status", "--server", "nonsense"}} {
		require.Equal(t, exitUsage, d.command(t, nil, wrong...).code, "%v", wrong)
	}
}

func TestPreviewOpenKeepsTheTokenOutOfTheArguments(t *testing.T) {
	t.Parallel()
	port := onTheHost(t)
	d := newDesk(t)
	p := d.serving(t, nil, "--daemon-mode", "host")
	p.healthy()
	browser := filepath.Join(d.dir, "browser")
	enginetest.WriteExecutable(t, browser, []byte("#!/bin/sh\necho \"$@\" >>"+d.dir+"/arguments\ncat \"$1\" >>"+d.dir+"/page\n"))
	var urls []string
	for range 2 {
		got := d.command(t, []string{"BROWSER=" + browser}, "preview", "open", port)
		require.Zero(t, got.code, got.stderr)
		urls = append(urls, strings.TrimSpace(got.stdout))
	}
	require.Equal(t, urls[0], urls[1], "the live link is used again")
	token, _, _ := strings.Cut(strings.TrimPrefix(urls[0], "http://"), ".")
	page, err := os.ReadFile(filepath.Join(d.dir, "page"))
	require.NoError(t, err)
	require.Contains(t, string(page), urls[0])
	arguments, err := os.ReadFile(filepath.Join(d.dir, "arguments"))
	require.NoError(t, err)
	require.NotContains(t, string(arguments), token)
	info, err := os.Stat(filepath.Join(d.dir, "state", "daemon-proxy", "open.html"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestRequestsFollowed(t *testing.T) {
	t.Parallel()
	port := onTheHost(t)
	d := newDesk(t)
	p := d.serving(t, nil, "--daemon-mode", "host")
	p.healthy()
	p.expect(200, "you", "GET", "/proxy/"+port+"/before", "")
	f := *d
	follower := f.run(t, nil, "requests", "--follow", "--json", "--filter", "path:/")
	follower.eventually("what was before is shown", func() bool { return strings.Contains(follower.stderr.String(), "/before") })
	p.expect(200, "you", "GET", "/proxy/"+port+"/after", "")
	follower.eventually("what comes is shown", func() bool { return strings.Contains(follower.stderr.String(), "/after") })
	require.Zero(t, follower.signal(syscall.SIGINT))
}

func TestWithoutACore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, args := range [][]string{{"preview", "create", "80"}, {"preview", "open", "80"}, {"requests"}, {"requests", "--follow"}, {"status"}} {
		got := d.command(t, nil, args...)
		require.Equal(t, exitNoCore, got.code, "%v: %s", args, got.stderr)
		require.Contains(t, got.stderr, "needs a running daemon-proxy")
		require.Contains(t, got.stderr, "--server")
		require.Empty(t, got.stdout)
	}
	nothing := d.command(t, nil, "__complete", "inject", "")
	require.Zero(t, nothing.code, nothing.stderr)
	require.Equal(t, ":4\n", nothing.stdout, "neither names nor files")
	// A core that crashed and left its name behind is none.
	p := d.serving(t, nil, "--daemon-mode", "host")
	p.signal(syscall.SIGKILL)
	require.Equal(t, exitNoCore, d.command(t, nil, "requests").code)
	got := d.command(t, []string{"DAEMON_PROXY_URL=http://127.0.0.1:1"}, "requests")
	require.Equal(t, exitNoCore, got.code, got.stderr)
	require.Contains(t, got.stderr, "DAEMON_PROXY_URL")
}

func TestWhatIsTypedWrongIsSaidBeforeACoreIsLookedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, args := range [][]string{
		{"preview", "create", "x"}, {"preview", "create", "70000"}, {"preview", "open", "0"}, {"preview", "create", "80", "--ttl", "-1s"},
		{"requests", "--filter", "status:x"}, {"requests", "--limit", "-1"}, {"logs", "--source", "x"}, {"demo", "x"}, {"completion"}, {"completion", "x"},
	} {
		got := d.command(t, nil, args...)
		require.Equal(t, exitUsage, got.code, "%v: %s", args, got.stderr)
		require.Contains(t, got.stderr, "--help", "%v", args)
		require.Empty(t, got.stdout, "%v", args)
	}
}

// A server that is named is talked to as it is: what stands between is said,
// and the authority of this desk counts for it too.
func TestAServerThatIsNamed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.run(t, []string{"DAEMON_PROXY_TLS_MODE=self-signed"}, "--no-tui", "--daemon-mode", "host")
	p.url = "https://localhost:" + strconv.Itoa(d.port)
	p.eventually("it serves", func() bool { return strings.Contains(p.stderr.String(), "daemon-proxy serves") })
	require.Contains(t, d.done(t, "status", "--server", p.url), p.url)
	require.Contains(t, d.done(t, "sandboxes", "--server", p.url), "host")

	stranger := newDesk(t)
	got := stranger.command(t, nil, "status", "--server", p.url)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "certificate")
	require.Contains(t, got.stderr, "SSL_CERT_FILE")
	// Nothing of this program's was ever written on the stranger's desk.
	trusting := []string{"SSL_CERT_FILE=" + filepath.Join(d.dir, "state", "daemon-proxy", "tls-authority.pem"), "BROWSER=true"}
	got = stranger.command(t, trusting, "preview", "open", onTheHost(t), "--server", p.url)
	require.Zero(t, got.code, got.stderr)

	got = d.command(t, nil, "status", "--server", "http://localhost:"+strconv.Itoa(d.port))
	require.Equal(t, exitFailed, got.code, "something answers, so that one does not run is untrue")
	require.NotContains(t, got.stderr, "none runs here")
	got = d.command(t, nil, "status", "--server", "http://127.0.0.1:1")
	require.Equal(t, exitNoCore, got.code)
	require.Contains(t, got.stderr, "correct --server")
}

func TestTheKeyComesFromTheConfiguration(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	key := []string{"SECURITY_ENABLED=true", "SECURITY_API_KEY=k-e-y-0123456789"}
	p := d.serving(t, key, "--daemon-mode", "host")
	got := d.command(t, []string{"DAEMON_PROXY_URL=" + p.url}, "sandboxes")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "API key")
	require.Contains(t, got.stderr, "SECURITY_API_KEY", "the hint is for programs")
	got = d.command(t, append(key, "DAEMON_PROXY_URL="+p.url), "sandboxes")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, d.command(t, nil, "sandboxes", "--help").stdout, "Exit codes")
	require.NotContains(t, d.command(t, nil, "sandboxes", "--help").stdout, "api-key")
}

func TestInjectByItself(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	name, id := container(t, enginetest.RunOptions{}, nil)
	other, otherID := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	require.NoError(t, os.MkdirAll(filepath.Join(d.dir, "config", "daemon-proxy"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "config", "daemon-proxy", "config.yaml"), []byte("daemon:\n  mode: docker\n  container_name: "+other+"\n"), 0o600))

	require.Contains(t, d.done(t, "sandboxes"), name)
	steps := d.done(t, "inject", name)
	require.Contains(t, steps, "copy")
	require.Contains(t, steps, "wait")
	require.Regexp(t, `\nthe daemon in `+name+` is healthy: built-in \S+\n$`, steps)
	for line := range strings.Lines(steps) {
		require.Greater(t, len(strings.Fields(line)), 2, "each line says something: %q", line)
	}
	ports := d.done(t, "ports", name)
	require.Regexp(t, `(?m)^PORT +SERVICE +NAME`, ports)
	require.Regexp(t, `(?m)^8080 +http`, ports)
	require.Regexp(t, `(?m)^6080 +vnc +noVNC`, ports)
	require.Regexp(t, `(?m)^2280 +daemon`, ports)
	require.Contains(t, d.done(t, "ports", name, "--json"), `"service": "vnc"`)
	require.Contains(t, d.done(t, "sandboxes"), "healthy", "the daemon outlives the command, and the next one knows it")
	_, err := e.Stat(t.Context(), otherID, "/usr/local/bin/daemon-proxy")
	require.Error(t, err, "the default container was injected too")
	_, err = os.Stat(filepath.Join(d.dir, "state", "daemon-proxy", "core.json"))
	require.Error(t, err)
	require.Equal(t, 1, strings.Count(d.done(t, "preview", "list"), "\n"), "the head alone")

	// A core that starts later goes on with it.
	p := d.serving(t, nil, "--container-name", name)
	p.healthy()
	p.expect(200, "service on", "GET", "/proxy/8080/", "")
	require.Contains(t, d.done(t, "stop", name), "stopped")
	out, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", "ps | grep [t]oolbox || echo none"}})
	require.NoError(t, err)
	require.Contains(t, string(out), "none")
	require.Contains(t, d.done(t, "eject", name), "removed")
	_, err = e.Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, command := range []string{"inject", "eject"} {
		require.NotZero(t, d.command(t, nil, command, "nobody").code, command)
	}
}

func TestConfigShow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "config.yaml"), []byte("server:\n  port: 9999\nsecurity:\n  enabled: true\n  api_key: hush-hush\n"), 0o600))
	got := d.command(t, []string{"LOG_LEVEL=DEBUG"}, "config", "show", "--host", "127.0.0.2")
	require.Zero(t, got.code, got.stderr)
	for _, want := range []string{"port: 9999", "config.yaml:2", "LOG_LEVEL", "--host", "# default", `api_key: "***"`} {
		require.Contains(t, got.stdout, want)
	}
	require.NotContains(t, got.stdout, "hush")
	shown := d.command(t, nil, "config", "show", "--json").stdout
	require.NotContains(t, shown, "hush")
	require.Contains(t, shown, `"key": "server.port"`)
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, run([]string{"completion", shell}, &stdout, &stderr), stderr.String())
		require.Contains(t, stdout.String(), "daemon-proxy")
		sourced, err := exec.LookPath(shell)
		if err != nil {
			continue // most machines have one of them
		}
		file := filepath.Join(t.TempDir(), "completion")
		require.NoError(t, os.WriteFile(file, stdout.Bytes(), 0o600))
		script := map[string]string{
			"bash": "source " + file + "; complete -p daemon-proxy", "zsh": "autoload -U compinit; compinit -D; source " + file + "; echo $_comps[daemon-proxy]",
			"fish": "source " + file + "; complete -c daemon-proxy",
		}[shell]
		out, err := exec.CommandContext(t.Context(), sourced, "-c", script).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "daemon-proxy")
	}
}
