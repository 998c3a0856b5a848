//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

const (
	// leavesWithin is how soon nothing of a session is left at its far end.
	leavesWithin = time.Second
	// download is the size of a large answer.
	download = 100 << 20
)

// box is another machine as far as ssh can tell: a user with a home of its own,
// behind an sshd of the test's.
type box struct {
	*wiretest.SSHD
	t      *testing.T
	user   *user.User
	home   string
	binary string
}

// newBox makes the user, who has no program yet, and runs sshd. Both go with the test.
func newBox(t *testing.T) *box {
	t.Helper()
	if os.Geteuid() != 0 {
		wiretest.Skip(t, "only root can create a user and log in as it")
	}
	useradd := wiretest.Program(t, "useradd")
	sshd := wiretest.NewSSHD(t)
	b := &box{t: t, SSHD: sshd, home: filepath.Join(sshd.Folder, "home"), binary: enginetest.StaticGo(t, "daemon-proxy/cmd/daemon-proxy")}
	name := "dp-" + strings.ToLower(strconv.FormatUint(rand.Uint64()%1e9, 36))
	b.must(useradd, "--create-home", "--home-dir", b.home, "--shell", "/bin/sh", "--password", "*", name)
	t.Cleanup(func() {
		b.eventually("nothing runs as the user", func() bool { return len(b.processes()) == 0 })
		b.must("userdel", "--force", name)
	})
	var err error
	b.user, err = user.Lookup(name)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, pid := range b.processes() { // what a test that failed has left
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	b.write("home/.config/daemon-proxy/config.yaml", 0o644, "daemon:\n  mode: host\n")
	return b
}

// install puts the program there.
func (b *box) install(path string) string {
	b.t.Helper()
	content, err := os.ReadFile(b.binary)
	require.NoError(b.t, err)
	return b.write(filepath.Join("home", path), 0o755, string(content))
}

func (b *box) must(program string, args ...string) string {
	b.t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	require.NoError(b.t, err, "%s %v: %s", program, args, out)
	return string(out)
}

// write writes a file of the box; what is in its home is the user's.
func (b *box) write(name string, mode os.FileMode, content string) string {
	b.t.Helper()
	path := filepath.Join(b.Folder, name)
	require.NoError(b.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(b.t, os.WriteFile(path, []byte(content), mode))
	if b.user != nil {
		b.must("chown", "-R", b.user.Username+":", b.home)
	}
	return path
}

func (b *box) eventually(what string, ok func() bool) {
	b.t.Helper()
	require.Eventually(b.t, ok, startsWithin, look, what)
}

// processes are the pids of what runs as the user. What has ended, and waits for
// a parent that does not care, does not count.
func (b *box) processes() (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range found {
		info, err := os.Stat(path)
		stat, statErr := os.ReadFile(filepath.Join(path, "stat"))
		if err != nil || statErr != nil || bytes.Contains(stat, []byte(") Z ")) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(path))
		if strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Uid), 10) == b.user.Uid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isLeft waits until nothing runs as the user.
func (b *box) isLeft() {
	b.t.Helper()
	begun := time.Now()
	for len(b.processes()) > 0 {
		if time.Since(begun) > leavesWithin {
			require.FailNow(b.t, "something runs on", b.must("ps", "-o", "pid,ppid,stat,args", "-u", b.user.Username))
		}
		time.Sleep(look)
	}
	b.t.Logf("nothing is left after %v", time.Since(begun).Round(look))
}

// desk is a person's machine whose ssh finds the box, under that name, at an address.
func (b *box) desk(address string) *desk {
	b.t.Helper()
	return &desk{dir: b.t.TempDir(), binary: b.binary, port: wiretest.FreePort(b.t), sshProgram: b.Client(b.t, address, b.user.Username,
		"LocalForward 127.0.0.1:1 127.0.0.1:1", "ExitOnForwardFailure yes", "RemoteCommand echo from the configuration")}
}

// ssh runs a client command over ssh to its end.
func (d *desk) ssh(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(d.binary, append(args, "--server", "ssh://box")...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, d.overSSH(), &out, &said
	_ = cmd.Run()
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

func (d *desk) overSSH() []string {
	return append(d.environment(), "PATH="+filepath.Dir(d.sshProgram)+":"+os.Getenv("PATH"), "BROWSER=true")
}

// served is a preview that a command serves over ssh.
type served struct {
	*program
	path, host string // its URLs
	said       *wiretest.Buffer
}

// serves runs "preview create" over ssh and returns when it serves.
func (d *desk) serves(t *testing.T, env []string, port string) *served {
	t.Helper()
	s := &served{said: &wiretest.Buffer{}}
	s.program = d.run(t, append(d.overSSH(), env...), "preview", "create", port, "--sandbox", "host", "--server", "ssh://box")
	urls := regexp.MustCompile(`(?m)^http://(\w+)\.localhost:(\d+)\n(http://localhost:\d+/preview/\w+)$`)
	var found []string
	s.eventually("it serves", func() bool {
		found = urls.FindStringSubmatch(s.stderr.String())
		return found != nil && strings.Contains(s.stderr.String(), "until you press Ctrl-C")
	})
	s.host, s.path = "http://"+found[1]+".localhost:"+found[2], found[3]
	return s
}

// webApp is a service with a page, a WebSocket that echoes and a large answer.
func webApp(t *testing.T, sum string) string {
	t.Helper()
	return strconv.Itoa(wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<!doctype html><title>far</title><p id=said>waiting<script>
const s = new WebSocket("ws://" + location.host + location.pathname.replace(/\/$/, "") + "/socket");
s.onopen = () => s.send("by socket"); s.onmessage = m => { document.getElementById("said").textContent = m.data };
</script>`)
		case "/socket":
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, data, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, append([]byte("echo "), data...)) != nil {
					return
				}
			}
		case "/large":
			w.Header().Set("X-Sum", sum)
			_, _ = io.Copy(w, io.LimitReader(rand.NewChaCha8([32]byte{1}), download))
		default:
			_, _ = io.WriteString(w, "you asked for "+r.URL.Path)
		}
	})))
}

// sumOfDownload is the hash of the large answer.
func sumOfDownload() string {
	h := sha256.New()
	_, _ = io.Copy(h, io.LimitReader(rand.NewChaCha8([32]byte{1}), download))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// No core runs on the other machine: one is started for the session, and nothing
// of it is left, however the session ends.
func TestS82OverSSHNothingIsLeftOnTheOtherMachine(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.desk(b.Address)
	stdout, stderr, code := d.ssh(t, "sandboxes")
	require.Equal(t, exitNoCore, code, stdout)
	require.Contains(t, stderr, "daemon-proxy is not installed on box")
	require.Contains(t, stderr, "try: install it there")

	b.install(".local/bin/daemon-proxy")
	b.write("home/.local/state/daemon-proxy/core.json", 0o600, // a crash left it behind
		`{"address":"127.0.0.1:1","url":"http://127.0.0.1:1","pid":4194304,"version":"v1","protocol":"1.0","key":"k"}`)
	stdout, stderr, code = d.ssh(t, "sandboxes")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "host")
	require.Empty(t, stderr)
	b.isLeft()

	for name, end := range map[string]func(*served){
		"Ctrl-C":   func(s *served) { require.Zero(t, s.signal(os.Interrupt.(syscall.Signal))) },
		"SIGKILL":  func(s *served) { s.signal(syscall.SIGKILL) },
		"a hangup": func(s *served) { s.signal(syscall.SIGHUP) },
	} {
		s := d.serves(t, nil, webApp(t, ""))
		require.NotEmpty(t, b.processes())
		require.NotContains(t, b.listens(), "0.0.0.0")
		s.expect(200, "you asked for /x", "GET", s.path+"/x", "")
		response, err := browserLike.Get(s.path + "/large") // which nobody reads
		require.NoError(t, err)
		b.t.Log(name)
		end(s)
		b.isLeft()
		response.Body.Close()
	}
	require.NoFileExists(t, filepath.Join(b.home, ".local/state/daemon-proxy/core.json"))
	stdout, stderr, code = d.ssh(t, "preview", "list", "--urls")
	require.Zero(t, code, stderr)
	require.Equal(t, 3, strings.Count(stdout, "active"), "the links stay: %s", stdout)
	b.isLeft()
}

// listens are the addresses on which the processes of the user listen.
func (b *box) listens() string {
	var all strings.Builder
	for line := range strings.Lines(b.must("ss", "-Hltnp")) {
		for _, pid := range b.processes() {
			if strings.Contains(line, fmt.Sprintf("pid=%d,", pid)) {
				address := strings.Fields(line)[3]
				host, _, _ := net.SplitHostPort(address)
				require.Contains(b.t, []string{"127.0.0.1", "::1"}, host, line)
				all.WriteString(address + "\n")
			}
		}
	}
	require.NotEmpty(b.t, all.String())
	return all.String()
}

func TestOverSSHAPreviewWorksInTheBrowserOfThisMachine(t *testing.T) {
	browser := newBrowser(t)
	b := newBox(t)
	b.install("bin/daemon-proxy")
	d := b.desk(b.Address)
	sum := sumOfDownload()
	s := d.serves(t, nil, webApp(t, sum))
	for _, url := range []string{s.host, s.path + "/"} { // a navigation to the path form leads to the host form
		browser.open(url)
		browser.until("the page's WebSocket works", `document.getElementById("said").textContent == "echo by socket"`)
		require.Equal(t, s.host, eval[string](browser, "location.origin"))
	}

	for _, url := range []string{s.host, s.path} {
		response, err := browserLike.Get(url + "/large")
		require.NoError(t, err)
		h := sha256.New()
		n, err := io.Copy(h, response.Body)
		response.Body.Close()
		require.NoError(t, err)
		require.EqualValues(t, download, n)
		require.Equal(t, sum, fmt.Sprintf("%x", h.Sum(nil)))
	}

	base := regexp.MustCompile(`^http://localhost:\d+`).FindString(s.path)
	for _, path := range []string{"/api/sandboxes", "/health", "/", "/proxy/80/"} {
		s.expect(404, "only previews are served here", "GET", base+path, "")
	}
	require.Zero(t, s.signal(syscall.SIGINT))
	b.isLeft()
}

// The core that runs there is found although its program is in nobody's PATH, and
// whatever its own addresses are, the links are those of this machine.
func TestOverSSHTheCoreThatRunsThereIsUsedAndGoesOn(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	uid, _ := strconv.Atoi(b.user.Uid)
	gid, _ := strconv.Atoi(b.user.Gid)
	program := b.install("opt/some where/daemon-proxy")
	start := func() *exec.Cmd {
		core := exec.Command(program, "--no-tui")
		core.Dir = b.home
		core.Env = []string{"HOME=" + b.home, "PATH=/usr/bin:/bin", "DAEMON_PROXY_PORT=" + strconv.Itoa(wiretest.FreePort(t)),
			"SECURITY_ENABLED=true", "SECURITY_API_KEY=a-key-of-its-own", "DAEMON_PROXY_TLS_MODE=self-signed",
			"DAEMON_PROXY_PUBLIC_URL=https://box.example", "DAEMON_PROXY_PREVIEW_DOMAIN=previews.example"}
		core.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		said := &wiretest.Buffer{}
		core.Stderr = said
		require.NoError(t, core.Start())
		b.eventually("the core runs", func() bool { return strings.Contains(said.String(), "daemon-proxy serves") })
		return core
	}
	core := start()
	t.Cleanup(func() { _ = core.Process.Kill(); _ = core.Wait() })

	d := b.desk(b.Address)
	s := d.serves(t, nil, webApp(t, ""))
	s.expect(200, "you asked for /x", "GET", s.host+"/x", "")
	s.expect(200, "you asked for /y", "GET", s.path+"/y", "")
	ctx, cancel := context.WithTimeout(t.Context(), startsWithin)
	defer cancel()
	c, _, err := websocket.Dial(ctx, strings.Replace(s.host, "http", "ws", 1)+"/socket",
		&websocket.DialOptions{HTTPClient: browserLike, HTTPHeader: http.Header{"Origin": {s.host}}})
	require.NoError(t, err)
	require.NoError(t, c.Write(ctx, websocket.MessageText, []byte("x")))
	_, data, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, "echo x", string(data))

	stdout, stderr, code := d.ssh(t, "status", "--json")
	require.Zero(t, code, stderr)
	var status map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &status), stdout)

	// Another core takes its place; the session finds it.
	require.NoError(t, core.Process.Kill())
	_ = core.Wait()
	core = start()
	s.eventually("the preview is back", func() bool {
		status, body := s.try("GET", s.host+"/z", "")
		return status == http.StatusOK && body == "you asked for /z"
	})
	require.Zero(t, s.signal(syscall.SIGINT))
	require.NoError(t, syscall.Kill(core.Process.Pid, 0), "the core keeps running")
	require.NotContains(t, s.stderr.String(), "a-key-of-its-own")
}

func TestOverSSHWhatSSHSaysIsShown(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.desk(b.Address)
	require.NoError(t, os.WriteFile(filepath.Join(b.Folder, "key.pub"), nil, 0o644))
	stdout, stderr, code := d.ssh(t, "sandboxes")
	require.Equal(t, exitNoCore, code, stdout)
	require.Contains(t, stderr, "ssh to box failed: ")
	require.Contains(t, stderr, "Permission denied (publickey")
	require.Equal(t, 1, strings.Count(stderr, "Permission denied"))
	require.Contains(t, stderr, "try: this must work first: ssh box")

	cmd := exec.Command(d.binary, "sandboxes", "--server", "ssh://me:hunter2@box")
	cmd.Env = d.overSSH()
	out, _ := cmd.CombinedOutput()
	require.Equal(t, exitUsage, cmd.ProcessState.ExitCode())
	require.NotContains(t, string(out), "hunter2")
}

// delayed is an address that leads to another one with a round trip of twice the delay.
func delayed(t *testing.T, to string, delay time.Duration) string {
	t.Helper()
	type piece struct {
		due  time.Time
		data []byte
	}
	return wiretest.NewRelay(t, to, func(dst, src net.Conn) {
		pieces := make(chan piece, 1<<16)
		go func() {
			defer close(pieces)
			for {
				buf := make([]byte, 64<<10)
				n, err := src.Read(buf)
				if err != nil {
					return
				}
				pieces <- piece{time.Now().Add(delay), buf[:n]}
			}
		}()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := dst.Write(p.data); err != nil {
				src.Close()
			}
		}
	}).Addr().String()
}

// At 100 ms of round trip, a preview's first byte takes one more of them than
// here, also on a connection that was not used before, and a large download is
// not held up by windows that are small.
func TestP32APreviewOverSSHCostsOneRoundTripMore(t *testing.T) {
	const trip = 100 * time.Millisecond
	b := newBox(t)
	b.install("bin/daemon-proxy")
	d := b.desk(delayed(t, b.Address, trip/2))
	s := d.serves(t, nil, webApp(t, ""))
	s.expect(200, "you asked for /0", "GET", s.host+"/0", "")
	for _, method := range []string{"GET", "POST"} { // what may not be sent twice gets a new connection on the whole way
		best := time.Hour
		for range 5 {
			request, err := http.NewRequest(method, s.host+"/x", nil)
			require.NoError(t, err)
			begun := time.Now()
			response, err := browserLike.Do(request)
			require.NoError(t, err)
			best = min(best, time.Since(begun))
			response.Body.Close()
		}
		t.Logf("%s: first byte after %v", method, best)
		require.Greater(t, best, trip)
		require.Less(t, best, 2*trip)
	}
	begun := time.Now()
	response, err := browserLike.Get(s.host + "/large")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, response.Body)
	response.Body.Close()
	require.NoError(t, err)
	require.EqualValues(t, download, n)
	rate := download / time.Since(begun).Seconds() / (1 << 20)
	t.Logf("%.1f MiB/s", rate)
	require.Greater(t, rate, 7.5, "MiB/s; 256 KiB a round trip would be 2.5")
	require.Zero(t, s.signal(syscall.SIGINT))
	b.isLeft()
}
