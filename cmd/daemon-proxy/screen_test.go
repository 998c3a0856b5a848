package main

import (
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
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

// screen is a real terminal, tmux's, with a shell in it.
type screen struct {
	t      *testing.T
	socket string
}

// newScreen starts tmux with a shell of 120×40 in the desk's folder.
func newScreen(t *testing.T, d *desk, env ...string) *screen {
	t.Helper()
	wiretest.Program(t, "tmux")
	s := &screen{t: t, socket: filepath.Join(t.TempDir(), "tmux")}
	args := []string{"-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-c", d.dir, "env", "-i", "PS1=ready> ", "TERM=tmux-256color", "LC_ALL=C.UTF-8"}
	args = append(args, append(d.environment(), env...)...)
	s.tmux(append(args, "/bin/sh", "-i")...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen shows:\n%s", s.text())
		}
		_ = exec.Command("tmux", "-S", s.socket, "kill-server").Run()
	})
	s.shows("ready>")
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	require.NoError(s.t, err, string(out))
	return string(out)
}

func (s *screen) text() string {
	out, err := exec.Command("tmux", "-S", s.socket, "capture-pane", "-p").CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// keys types keys by tmux's names: "v", "Enter", "Escape".
func (s *screen) keys(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys", "--"}, keys...)...)
}

// shows waits until the screen matches each pattern.
func (s *screen) shows(patterns ...string) {
	s.t.Helper()
	for _, pattern := range patterns {
		want := regexp.MustCompile(pattern)
		require.Eventually(s.t, func() bool { return want.MatchString(s.text()) }, startsWithin, look, "the screen shows %s", pattern)
	}
}

// modes is what a program can leave a terminal in.
func (s *screen) modes() string {
	s.t.Helper()
	return strings.TrimSpace(s.tmux("display-message", "-p", "alternate=#{alternate_on} cursor=#{cursor_flag} mouse=#{mouse_any_flag}#{mouse_button_flag} keypad=#{keypad_flag}"))
}

const shellModes = "alternate=0 cursor=1 mouse=00 keypad=0"

func TestAPersonUsesTheTerminalUI(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	opened := filepath.Join(d.dir, "opened")
	browser := filepath.Join(d.dir, "browser")
	enginetest.WriteExecutable(t, browser, []byte("#!/bin/sh\necho \"$1\" >> "+opened+"\n"))
	s := newScreen(t, d, "BROWSER="+browser)
	s.tmux("set-option", "-g", "set-clipboard", "on") // keeps what is copied in a buffer
	require.Equal(t, shellModes, s.modes())

	s.keys(d.binary, "Enter")
	s.shows("Sandboxes", "this machine")
	require.Contains(t, s.modes(), "alternate=1")

	s.keys("/")
	s.keys(name)
	s.keys("Enter")
	s.shows(`Image +dp-test-testaperson`, `Daemon +none`) // ours is chosen, whatever else runs
	s.keys("i")
	s.shows(`Daemon +healthy`, `8080 http`)

	s.keys("v")
	lastOpened := func() string {
		raw, _ := os.ReadFile(opened) // the shell creates it before it writes the line
		lines := strings.Fields(string(raw))
		if len(lines) == 0 {
			return ""
		}
		return lines[len(lines)-1]
	}
	require.Eventually(t, func() bool {
		return strings.Contains(lastOpened(), ".localhost:"+strconv.Itoa(d.port)+"/vnc.html?autoconnect=true&resize=scale")
	}, startsWithin, look, "the desktop is opened")
	p := &program{t: t, url: "http://localhost:" + strconv.Itoa(d.port)}
	p.expect(200, "the desktop", "GET", lastOpened(), "")

	s.keys("n")
	s.shows("Preview a port", `8080`)
	s.keys("Down", "Enter") // 6080 is first
	copied := func() string {
		out, err := exec.Command("tmux", "-S", s.socket, "show-buffer").Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`^http://[a-z2-7]{32}\.localhost:\d+/$`).MatchString(copied())
	}, startsWithin, look, "the link of the new preview is copied")
	link := copied()
	p.expect(200, "service on localhost:8080", "GET", link, "")

	for _, path := range []string{"search?q=one", "search?q=two", "api/data", "nothing"} {
		p.try("GET", link+path, "")
	}
	s.keys("2")
	s.shows(`404 GET +8080 +/nothing`, `200 GET +8080 +/api/data`)
	s.keys("/")
	s.keys("status:4xx path:/nothing")
	s.keys("Enter")
	s.shows(`1 of \d+`)
	require.NotContains(t, s.text(), "/api/data")
	s.keys("Enter")
	s.shows(`GET /nothing`, `404`, `(?i)user-agent`)
	s.keys("r")
	s.shows(`replay`)
	s.keys("Escape") // once: a key that comes right behind it is read as alt and that key
	s.shows(`2 of \d+`, `replay of`)

	s.keys("3")
	s.shows(`PORT +LABEL +LINK`)
	s.keys("d")
	s.shows(`Revoke the preview`)
	s.keys("Right", "Enter")
	revoked := func() bool {
		first, _ := p.try("GET", link, "")
		second, _ := p.try("GET", strings.SplitAfter(lastOpened(), "/vnc.html")[0], "")
		return first == 410 || second == 410
	}
	p.eventually("the preview is revoked", revoked)

	s.keys("q")
	s.shows(`ready>\s*$`)
	require.Equal(t, shellModes, s.modes())
}

func TestSIGTERMLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := newScreen(t, d)
	s.keys(d.binary+" --daemon-mode host", "Enter")
	s.shows("this machine")
	require.Contains(t, s.modes(), "alternate=1")
	running, ok := core.ReadRunning(filepath.Join(d.dir, "state", "daemon-proxy"))
	require.True(t, ok)
	require.NoError(t, syscall.Kill(running.PID, syscall.SIGTERM))
	s.shows(`ready>\s*$`)
	require.Equal(t, shellModes, s.modes())
	s.keys("echo ended with $?", "Enter")
	s.shows("ended with 0")
}
