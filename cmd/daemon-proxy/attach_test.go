//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/client"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

// screens are those that the running core lists; nil if it does not answer.
func (d *desk) screens(t *testing.T) []api.ScreenStatus {
	t.Helper()
	running, ok := core.ReadRunning(filepath.Join(d.dir, "state", "daemon-proxy"))
	require.True(t, ok)
	c, err := client.New(running.URL, client.WithAPIKey(running.Key))
	require.NoError(t, err)
	list, _ := c.Screens(t.Context())
	return list
}

// attaches types the program's name and waits until the UI is on the core.
func (s *screen) attaches(d *desk) {
	s.t.Helper()
	s.keys(d.binary, "Enter")
	s.shows(`⇄ http://localhost:`+strconv.Itoa(d.port)+` `, "Sandboxes")
}

// chooses filters the list by a name.
func (s *screen) chooses(name string) {
	s.t.Helper()
	s.keys("/")
	s.keys(name)
	s.keys("Enter")
	s.shows(`Image +dp-test-`)
}

// What one screen does the other shows, and a core that ends takes no screen
// with it; nothing of a screen that was killed is left in the core.
func TestW20W22TwoScreensShareACore(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	running := d.serving(t, nil)
	one, two := newScreen(t, d), newScreen(t, d)
	one.attaches(d)
	two.attaches(d)
	one.shows("· 2 screens")
	one.chooses(name)
	two.chooses(name)
	one.keys("i")
	two.shows(`Daemon +healthy`)
	one.shows(`Daemon +healthy`)

	watching := func() (refs []string) {
		for _, s := range d.screens(t) {
			refs = append(refs, s.Watching.Name)
		}
		return refs
	}
	running.eventually("both are listed with what they show", func() bool {
		refs := watching()
		return len(refs) == 2 && refs[0] == name && refs[1] == name
	})
	pid := strings.TrimSpace(two.tmux("display-message", "-p", "#{pane_pid}"))
	children, err := exec.Command("pgrep", "-P", pid).Output()
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
	running.eventually("the lease of a killed screen ends", func() bool { return len(watching()) == 1 })

	running.signal(syscall.SIGKILL)
	one.shows(`⇄ ✕ not reachable · retry in \ds \(R now\)`)
	one.keys("s")
	one.shows("the core is not reachable: nothing can be changed now")
	require.Regexp(t, `● dp-test-\S+ +running`, one.text(), "the last state stays")
	d.serving(t, nil)
	one.shows("the core is back|Daemon +healthy", `⇄ http://localhost:`, `Daemon +healthy`)
	running.eventually("it is watched again", func() bool { refs := watching(); return len(refs) == 1 && refs[0] == name })

	one.keys("q")
	one.shows("The core keeps running at http://localhost:" + strconv.Itoa(d.port))
	running.eventually("nothing is watched", func() bool { return len(watching()) == 0 })
	require.Equal(t, shellModes, one.modes())
}

func TestW25ACoreOfItsOwnEndsWithItsScreenAndAsksFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	host := "DAEMON_MODE=host"
	one, two := newScreen(t, d, host), newScreen(t, d, host)
	one.keys(d.binary, "Enter")
	one.shows("● http://localhost:" + strconv.Itoa(d.port))
	two.attaches(d)
	one.shows("· 2 screens")
	one.keys("q")
	one.shows("1 other screen is attached", "Quitting ends the core for it too")
	one.keys("y")
	one.shows(`ready>\s*$`)
	two.shows("not reachable")
	two.keys("q")
	two.shows("The core at http://localhost:"+strconv.Itoa(d.port)+" is not reachable", `ready>\s*$`)
}

func TestW24ASecondCoreIsStartedOnPurpose(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	host := "DAEMON_MODE=host"
	running := d.serving(t, []string{host})
	s := newScreen(t, d, host)
	s.keys(d.binary+" --standalone", "Enter")
	s.shows("● http://localhost:")
	port := regexp.MustCompile(`● http://localhost:(\d+)`).FindStringSubmatch(s.text())[1]
	require.NotEqual(t, strconv.Itoa(d.port), port)
	state := filepath.Join(d.dir, "state", "daemon-proxy")
	require.FileExists(t, filepath.Join(state, "standalone-"+port+".db"))
	listed, err := os.ReadFile(filepath.Join(state, "core.json"))
	require.NoError(t, err)
	require.Contains(t, string(listed), `"pid":`+strconv.Itoa(running.cmd.Process.Pid), "other commands still find the first")
	s.keys("q")
	s.shows(`ready>\s*$`)
	running.expect(200, "", "GET", "/health", "")

	for args, says := range map[string]string{
		"--port 1 --state-file " + filepath.Join(state, "links.db"): "daemon-proxy is already running",
		"--server " + running.url + " --standalone":                 "give one of them",
		"--no-tui --server " + running.url:                          "there is no terminal for it",
		"--server http://127.0.0.1:1":                               "start daemon-proxy there",
		"--daemon-mode host --server " + running.url:                "--daemon-mode configures a core",
		"--server localhost:8080":                                   `is "localhost:8080": want http://HOST`,
		"--server " + running.url + "/api":                          "is not the address of daemon-proxy",
		"--standalone --port " + strconv.Itoa(d.port):               "open it with --server " + running.url,
	} {
		s.keys("clear; "+d.binary+" "+args, "Enter")
		s.shows(says)
	}
}

// A core that is named, and on which no screen can be.
func TestW26WhyTheRunningCoreIsNotOpenedIsSaid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	host := "DAEMON_MODE=host"
	s := newScreen(t, d, host)
	running := d.serving(t, []string{host})
	require.NoError(t, running.cmd.Process.Signal(syscall.SIGSTOP))
	s.keys(d.binary, "Enter")
	s.shows(`process `+strconv.Itoa(running.cmd.Process.Pid)+`\) has not answered for 3s`, "--standalone starts a second core")
	require.NoError(t, running.cmd.Process.Signal(syscall.SIGCONT))
	require.Zero(t, running.signal(syscall.SIGTERM))

	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Health{Status: "healthy", Version: "v9.1.0", Protocol: "9.0"})
	}))
	defer other.Close()
	listed, err := json.Marshal(core.Running{URL: other.URL, PID: os.Getpid(), Version: "v9.1.0", Protocol: "9.0"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "state", "daemon-proxy", "core.json"), listed, 0o600))
	s.keys("clear; "+d.binary, "Enter")
	s.shows(`version v9\.1\.0\) speaks protocol 9\.0, and this program speaks`, "install the same version")

	other.Close() // as a crash leaves it
	s.keys("clear; "+d.binary, "Enter")
	s.shows("● http://localhost:" + strconv.Itoa(d.port))
	s.keys("q")
	s.shows(`ready>\s*$`)
}

func TestACoreSaysThatItIgnoresTheAddressOfAnother(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.serving(t, []string{"DAEMON_MODE=host", "DAEMON_PROXY_URL=http://127.0.0.1:1"})
	p.eventually("it says so", func() bool { return strings.Contains(p.stderr.String(), "DAEMON_PROXY_URL is ignored") })
}

func TestAScreenOnACoreThatAddressNames(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	running := d.serving(t, []string{"DAEMON_MODE=host", "SECURITY_ENABLED=true", "SECURITY_API_KEY=a-key-for-this-test"},
		"--read-only")
	other := newDesk(t)
	other.port = d.port
	file := filepath.Join(other.dir, "key")
	require.NoError(t, os.WriteFile(file, []byte("a-key-for-this-test\n"), 0o600))
	s := newScreen(t, other, "DAEMON_PROXY_URL="+running.url)
	s.keys("DAEMON_PROXY_URL= "+d.binary, "Enter")
	s.shows("open it with --server " + running.url) // another user's service is found by its port
	s.keys("clear; "+d.binary, "Enter")
	s.shows("wants an API key, and none was sent", "DAEMON_PROXY_API_KEY")
	s.keys("clear; DAEMON_PROXY_API_KEY=another "+d.binary, "Enter")
	s.shows("does not accept the API key that was sent", "DAEMON_PROXY_API_KEY")
	s.keys("clear; DAEMON_PROXY_API_KEY_FILE="+file+" "+d.binary, "Enter")
	s.shows("⇄ "+running.url+" read-only", "this machine")
	s.keys("n")
	s.shows("not on a read-only core")
	s.keys("q")
	s.shows("The core keeps running at " + running.url)
}

// Two screens over ssh see each other's previews, which open on this machine; ssh
// that is cut is started again.
func TestW23ScreensOverSSHShareACoreAndItsPreviews(t *testing.T) {
	b := newBox(t)
	program := b.install("bin/daemon-proxy")
	uid, _ := strconv.Atoi(b.user.Uid)
	gid, _ := strconv.Atoi(b.user.Gid)
	there := &desk{dir: b.home, binary: program, port: wiretest.FreePort(t),
		user: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	running := there.run(t, []string{"XDG_STATE_HOME=" + b.home + "/.local/state", "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "DAEMON_MODE=host"},
		"--no-tui")
	running.eventually("the core runs", func() bool { return strings.Contains(running.stderr.String(), "daemon-proxy serves") })
	port := webApp(t, sumOfDownload())

	d := b.desk(b.Address)
	opened := filepath.Join(d.dir, "opened")
	browser := filepath.Join(d.dir, "browser")
	enginetest.WriteExecutable(t, browser, []byte("#!/bin/sh\necho \"$1\" >> "+opened+"\n"))
	env := append(d.overSSH(), "BROWSER="+browser)
	one, two := newScreen(t, d, env...), newScreen(t, d, env...)
	for _, s := range []*screen{one, two} {
		s.keys(d.binary+" --server ssh://box", "Enter")
		s.shows(`⇄ box \(ssh\)  http://localhost:\d+`, `[●○] box \(ssh\)`)
	}
	one.shows("2 screens")
	one.keys("n")
	one.shows("Preview a port")
	one.keys(port)
	one.keys("Enter")
	two.keys("3")
	two.shows(port)
	two.keys("o")
	lastOpened := func() string {
		raw, _ := os.ReadFile(opened)
		lines := strings.Fields(string(raw))
		if len(lines) == 0 {
			return ""
		}
		return lines[len(lines)-1]
	}
	here := regexp.MustCompile(`⇄ box \(ssh\)  http://localhost:(\d+)`).FindStringSubmatch(two.text())[1]
	running.eventually("the browser opens it", func() bool {
		return regexp.MustCompile(`^http://[a-z2-7]{32}\.localhost:` + here + `/$`).MatchString(lastOpened())
	})
	url := strings.TrimSuffix(lastOpened(), "/")
	running.expect(200, "you asked for /x", "GET", url+"/x", "")
	if _, err := exec.LookPath("chromium"); err == nil {
		page := newBrowser(t)
		page.open(url + "/")
		page.until("the page's WebSocket works", `document.getElementById("said").textContent == "echo by socket"`)
	}

	ssh := d.sshProgram // from now on only one that can ask nobody
	wrapper, err := os.ReadFile(ssh)
	require.NoError(t, err)
	next := bytes.Replace(wrapper, []byte("\n"), []byte("\ncase \"$*\" in *BatchMode=yes*) ;; *) exit 255;; esac\n"), 1)
	require.NoError(t, os.WriteFile(ssh+"-next", next, 0o755))
	require.NoError(t, os.Rename(ssh+"-next", ssh))
	pid := strings.TrimSpace(two.tmux("display-message", "-p", "#{pane_pid}"))
	require.NoError(t, exec.Command("sh", "-c", "for p in $(pgrep -P "+pid+"); do pkill -9 -P $p; done").Run())
	two.shows("not reachable|is back")
	two.shows(`⇄ box \(ssh\)  http://localhost:`+here, `[●○] box \(ssh\)`)
	running.eventually("the preview works again", func() bool {
		status, body := running.try("GET", url+"/y", "")
		return status == 200 && body == "you asked for /y"
	})
	for _, s := range []*screen{one, two} {
		s.keys("q")
		s.shows(`The core keeps running on box \(ssh\)\.`)
	}
	require.NoError(t, syscall.Kill(running.cmd.Process.Pid, 0), "the core keeps running")
	require.Zero(t, running.signal(syscall.SIGTERM))
	b.isLeft()
}
