package bridge

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/ssh"
	"daemon-proxy/core/wiretest"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]ssh.Target{
		"ssh://box":                 {Host: "box"},
		"ssh://box/":                {Host: "box"},
		"ssh://me@box:2222":         {User: "me", Host: "box", Port: "2222"},
		"ssh://me%40corp@box_1":     {User: "me@corp", Host: "box_1"},
		"ssh://[fd00::1]:22":        {Host: "fd00::1", Port: "22"},
		"ssh://me@[fe80::1%25eth0]": {User: "me", Host: "fe80::1%eth0"},
	} {
		got, err := ParseTarget(address)
		require.NoError(t, err, address)
		require.Equal(t, want, got, address)
		args := got.Args(true, farCommand)
		require.Equal(t, []string{"--", got.Host, farCommand}, args[len(args)-3:])
	}
	for _, address := range []string{
		"box", "http://box", "ssh://", "ssh://-oProxyCommand=x", "ssh://-l@box", "ssh://me@-box", "ssh://b`x`", "ssh://b$(x)",
		"ssh://me;x@box", "ssh://me%20x@box", "ssh://%2DoX@box", "ssh://box:0", "ssh://box:99999", "ssh://box:x", "ssh://box/path",
		"ssh://box?x=y", "ssh://box#x", "ssh://me:hunter2@box", "ssh://@box", "ssh://[fe80::1%25`x`]", "ssh://b%0ax", "ssh://me'@box",
	} {
		_, err := ParseTarget(address)
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// fakeSSH is a program that the script is.
func fakeSSH(t *testing.T, script string) func(string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ssh")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	return func(name string) (string, error) {
		require.Equal(t, "ssh", name)
		return path, nil
	}
}

func TestWhySSHFailedIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, code, detail, hint string }{
		"refused": {"echo 'me@box: Permission denied (publickey).' >&2; exit 255", api.CodeSSHFailed,
			"ssh to me@box:2222 failed: me@box: Permission denied (publickey).", "ssh -p 2222 me@box"},
		"not installed": {"echo 'daemon-proxy: not found' >&2; exit 127", api.CodeNotInstalled, "not installed on me@box:2222", "ssh -p 2222 me@box daemon-proxy version"},
		"older":         {`echo 'daemon-proxy: unknown command "bridge"' >&2; exit 2`, api.CodeSSHFailed, `daemon-proxy on me@box:2222 failed: daemon-proxy: unknown command "bridge"`, "same version"},
		"no bridge":     {"echo hello", api.CodeSSHFailed, "the connection to me@box:2222 ended", "daemon-proxy version"},
		"other version": {`echo '{"protocol":"9.0","version":"v9"}'; cat`, api.CodeProtocolMismatch, "me@box:2222: the core there (version v9) speaks protocol 9.0", "same version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := ParseTarget("ssh://me@box:2222")
			require.NoError(t, err)
			var shown wiretest.Buffer
			_, err = SSH(t.Context(), target, SSHOptions{LookPath: fakeSSH(t, c.script), Stderr: &shown})
			problem := api.AsProblem(err)
			require.Equal(t, c.code, problem.Code)
			require.Contains(t, problem.Detail, c.detail)
			require.Contains(t, problem.Hint, c.hint)
			require.Empty(t, shown.String(), "the error has it")
		})
	}
	_, err := SSH(t.Context(), ssh.Target{Host: "box"}, SSHOptions{LookPath: func(string) (string, error) { return "", exec.ErrNotFound }})
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSSHFailed})
	require.ErrorContains(t, err, "not installed on this machine")
}

// A key that must be touched: what ssh says of it is shown, as long as it connects.
func TestWhatSSHSaysWhileItConnectsIsShown(t *testing.T) {
	t.Parallel()
	var shown wiretest.Buffer
	s, err := SSH(t.Context(), ssh.Target{Host: "box"}, SSHOptions{Stderr: &shown, LookPath: fakeSSH(t,
		`echo 'Confirm user presence: touch it' >&2; sleep 1.5; echo '{"protocol":"1.0"}'; cat >/dev/null; echo later >&2`)})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Equal(t, "Confirm user presence: touch it\n", shown.String())
}

func TestTheEndOfSSHEndsTheSession(t *testing.T) {
	t.Parallel()
	s, err := SSH(t.Context(), ssh.Target{Host: "box"}, SSHOptions{LookPath: fakeSSH(t,
		`echo '{"protocol":"1.0"}'; echo 'Connection to box closed by remote host.' >&2; exit 255`)})
	require.NoError(t, err)
	wiretest.Receive(t, s.Done(), "the session ends")
	require.ErrorContains(t, s.Err(), "Connection to box closed by remote host.")
	require.NoError(t, s.Close())
}

// ssh may wait at a prompt, or not end although its streams did.
func TestSSHIsEndedWithTheContextAndWithTheSession(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := SSH(ctx, ssh.Target{Host: "box"}, SSHOptions{LookPath: fakeSSH(t, `echo $$ >`+pids+`; exec sleep 1000`)})
		failed <- err
	}()
	var pid []byte
	require.Eventually(t, func() bool { pid, _ = os.ReadFile(pids); return bytes.HasSuffix(pid, []byte("\n")) }, wiretest.Patience, wiretest.Tick)
	cancel()
	require.ErrorIs(t, wiretest.Receive(t, failed, "it gives up"), &api.Problem{Code: api.CodeCancelled})

	s, err := SSH(t.Context(), ssh.Target{Host: "box"}, SSHOptions{LookPath: fakeSSH(t,
		`trap "" TERM; echo '{"protocol":"1.0"}'; while :; do sleep 0.1; done`)})
	require.NoError(t, err)
	require.NoError(t, s.Close()) // and TestMain sees that nothing is left
}

// In the terminal's foreground ssh can prompt, and Ctrl-C there does not end it.
func TestSSHPromptsAtTheTerminalAndIgnoresCtrlC(t *testing.T) {
	t.Parallel()
	if os.Getenv("BRIDGE_TEST_SSH") != "" {
		target := ssh.Target{Host: "box"}
		look := func(string) (string, error) { return os.Getenv("BRIDGE_TEST_SSH"), nil }
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		s, err := SSH(context.Background(), target, SSHOptions{LookPath: look})
		if err != nil {
			os.Exit(3)
		}
		<-interrupted
		if err := s.Refresh(context.Background()); err != nil { // it still answers
			os.Exit(4)
		}
		if err := s.Close(); err != nil {
			os.Exit(5)
		}
		os.Exit(42)
	}
	// It reads a password from the terminal, and then is a far end that answers.
	look := fakeSSH(t, `printf 'password: ' >/dev/tty; read p </dev/tty; [ "$p" = secret ] || exit 255
exec "$BRIDGE_TEST_SELF" -test.run '^TestFarEndHelper$'`)
	path, _ := look("ssh")
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "BRIDGE_TEST_SSH="+path, "BRIDGE_TEST_SELF="+os.Args[0])
	terminal, err := pty.Start(cmd)
	require.NoError(t, err)
	defer terminal.Close()
	var screen wiretest.Buffer
	read := make(chan error, 1)
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := terminal.Read(buf)
			_, _ = screen.Write(buf[:n])
			if err != nil {
				read <- nil
				return
			}
		}
	}()
	require.Eventually(t, func() bool { return strings.Contains(screen.String(), "password: ") }, wiretest.Patience, wiretest.Tick)
	_, err = terminal.WriteString("secret\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(screen.String(), "far end began") }, wiretest.Patience, wiretest.Tick)
	time.Sleep(300 * time.Millisecond) // until the greeting was read; earlier the signal only waits
	_, err = terminal.Write([]byte{3})
	require.NoError(t, err)
	wiretest.Receive(t, read, "the program ends")
	_ = cmd.Wait()
	require.Equal(t, 42, cmd.ProcessState.ExitCode(), screen.String())
}

// TestFarEndHelper is a far end for the test before it.
func TestFarEndHelper(t *testing.T) {
	if os.Getenv("BRIDGE_TEST_SELF") == "" {
		t.Skip("it is a part of another test")
	}
	_ = os.WriteFile("/dev/tty", []byte("far end began"), 0)
	in, out := mux.Standard()
	c := Core{Greeting: greeting("here"), Dial: func(context.Context) (net.Conn, error) {
		one, _ := net.Pipe()
		return one, nil
	}}
	_ = Serve(context.Background(), in, out, func(context.Context) (Core, error) { return c, nil }, mux.Limits{})
	os.Exit(0)
}

// A login shell of any kind starts the far end: from its PATH, or where core.json
// says; and it says that there is none.
func TestAnyLoginShellFindsTheProgram(t *testing.T) {
	t.Parallel()
	shells := map[string][]string{}
	for name, args := range map[string][]string{
		"sh": {"-c"}, "dash": {"-c"}, "bash": {"-c"}, "busybox": {"sh", "-c"}, "zsh": {"-c"}, "fish": {"-c"}, "tcsh": {"-c"}, "csh": {"-c"},
	} {
		if path, err := exec.LookPath(name); err == nil {
			shells[name] = append([]string{path}, args...)
		}
	}
	require.Contains(t, shells, "sh")
	for _, name := range []string{"dash", "bash", "busybox", "fish", "tcsh"} {
		if shells[name] == nil {
			wiretest.Skip(t, name+" is not installed")
		}
	}
	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			run := func(env ...string) (string, int) {
				cmd := exec.Command(shell[0], append(shell[1:], farCommand)...)
				cmd.Env = append([]string{"HOME=" + home, "PATH=/usr/bin:/bin"}, env...)
				out, _ := cmd.CombinedOutput()
				return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
			}
			program := func(path, says string) {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho "+says+" $1\n"), 0o755))
			}
			out, code := run()
			require.Equal(t, ssh.ExitNotFound, code, out)
			require.Contains(t, out, "not found")

			elsewhere := filepath.Join(home, "opt it", "daemon-proxy")
			program(elsewhere, "elsewhere")
			state := filepath.Join(home, ".local/state/daemon-proxy")
			require.NoError(t, os.MkdirAll(state, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(state, "core.json"),
				[]byte(`{"address":"a","url":"u","pid":1,"version":"v","protocol":"1.0","key":"k","executable":"`+elsewhere+`"}`+"\n"), 0o600))
			out, code = run()
			require.Equal(t, "elsewhere bridge", out)
			require.Zero(t, code)
			out, _ = run("XDG_STATE_HOME=" + t.TempDir())
			require.Contains(t, out, "not found")

			program(filepath.Join(home, ".local/bin/daemon-proxy"), "usual")
			out, _ = run()
			require.Equal(t, "usual bridge", out)
			program(filepath.Join(home, "bin0/daemon-proxy"), "first")
			out, _ = run("PATH=" + filepath.Join(home, "bin0") + ":/usr/bin:/bin")
			require.Equal(t, "first bridge", out)
		})
	}
}
