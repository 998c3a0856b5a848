//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

// mute is less than the 5 s that Bubble Tea waits for a terminal which does
// not answer, and far more than anything here takes.
const mute = 4 * time.Second

// onTerminal runs the program on a terminal that answers nothing, and gives
// what it writes; the process is the caller's to end.
func (d *desk) onTerminal(t *testing.T, env []string, args ...string) (*exec.Cmd, *os.File, *wiretest.Buffer) {
	t.Helper()
	cmd := exec.Command(d.binary, args...)
	cmd.Dir = d.dir
	cmd.Env = append([]string{
		"TERM=xterm-256color", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "XDG_STATE_HOME=" + filepath.Join(d.dir, "state"),
		"XDG_CACHE_HOME=" + filepath.Join(d.dir, "cache"), "XDG_CONFIG_HOME=" + filepath.Join(d.dir, "config"), "DAEMON_PROXY_PORT=" + strconv.Itoa(d.port),
	}, env...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 120, Rows: 40})
	require.NoError(t, err)
	out := &wiretest.Buffer{}
	var read sync.WaitGroup
	read.Go(func() {
		buffer := make([]byte, 32<<10)
		for {
			n, err := terminal.Read(buffer)
			_, _ = out.Write(buffer[:n])
			if err != nil {
				return // EIO: nobody has the terminal open any more
			}
		}
	})
	t.Cleanup(func() { _ = cmd.Process.Kill(); terminal.Close(); read.Wait() })
	return cmd, terminal, out
}

func TestCommandsAskTheTerminalNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, args := range [][]string{{"--help"}, {"version"}, {"--nonsense"}, {"demo", "--help"}} {
		start := time.Now()
		cmd, _, out := d.onTerminal(t, nil, args...)
		_ = cmd.Wait() // the exit code of --nonsense is another test's
		require.Less(t, time.Since(start), mute, args)
		require.Eventually(t, func() bool { return out.String() != "" }, startsWithin, look)
		require.NotContains(t, out.String(), "\x1b", args)
	}
}

func TestWithoutTheUIATerminalGetsPlainText(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd, _, out := d.onTerminal(t, nil, "--daemon-mode", "host", "--no-tui")
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("serves")) }, startsWithin, look)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("ending")) }, startsWithin, look)
	require.NotContains(t, out.String(), "\x1b")
}

func TestOnATerminalTheUIOpensAndLeavesItAsItWas(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, end := range []func(cmd *exec.Cmd, terminal *os.File){
		func(_ *exec.Cmd, terminal *os.File) { _, _ = terminal.WriteString("q") },
		func(cmd *exec.Cmd, _ *os.File) { _ = cmd.Process.Signal(syscall.SIGTERM) },
	} {
		cmd, terminal, out := d.onTerminal(t, nil, "--daemon-mode", "host")
		for _, want := range []string{"Sandboxes", "this machine", "http://localhost:" + strconv.Itoa(d.port)} {
			require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte(want)) }, startsWithin, look, want)
		}
		end(cmd, terminal)
		require.NoError(t, cmd.Wait())
		require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("\x1b[?1049l")) }, startsWithin, look)
		require.NotContains(t, out.String(), "level=", "the log goes to its file only")
	}
	require.FileExists(t, filepath.Join(d.dir, "state", "daemon-proxy", "tui.json"))
	logged, err := os.ReadFile(filepath.Join(d.dir, "state", "daemon-proxy", "daemon-proxy.log"))
	require.NoError(t, err)
	require.Contains(t, string(logged), "daemon-proxy serves")
}

func TestATerminalThatGoesEndsTheProgramInOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	state := filepath.Join(d.dir, "state", "daemon-proxy")
	cmd, terminal, out := d.onTerminal(t, nil, "--daemon-mode", "host")
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("this machine")) }, startsWithin, look)
	require.FileExists(t, filepath.Join(state, "core.json"))
	require.NoError(t, terminal.Close())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	require.Eventually(t, func() bool {
		return cmd.Process.Signal(syscall.SIGHUP) != nil // the kernel says so, and then the shell
	}, endsWithin, look)
	<-ended
	require.True(t, cmd.ProcessState.Exited(), cmd.ProcessState)
	require.NoFileExists(t, filepath.Join(state, "core.json"))
	require.FileExists(t, filepath.Join(state, "tui.json"))
}

func TestWithNohupTheProgramOutlivesItsTerminal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	script := filepath.Join(d.dir, "nohup")
	enginetest.WriteExecutable(t, script, []byte("#!/bin/sh\ntrap '' HUP\nexec '"+d.binary+"' \"$@\"\n"))
	d.binary = script
	p := d.serving(t, nil, "--daemon-mode", "host")
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Skip("only Linux tells which signals a process ignores")
	}
	require.Regexp(t, `SigIgn:\s[0-9a-f]*[13579bdf]\n`, string(status), "SIGHUP is bit 0")
	require.Zero(t, p.signal(syscall.SIGTERM))
}

func TestAPortInUseIsSaidOnTheNormalScreen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, _, out := d.onTerminal(t, nil, "--daemon-mode", "host", "--no-tui")
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("serves")) }, startsWithin, look)
	second, _, said := d.onTerminal(t, nil, "--daemon-mode", "host", "--state-file", filepath.Join(d.dir, "second.db"))
	require.Error(t, second.Wait())
	require.Eventually(t, func() bool { return bytes.Contains([]byte(said.String()), []byte("--port")) }, startsWithin, look)
	require.NotContains(t, said.String(), "\x1b")
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.NoError(t, first.Wait())
}
