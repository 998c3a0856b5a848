package docker

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// testBinary stands for ssh: see fakeSSH.
func testBinary(string) (string, error) { return os.Executable() }

func TestSSHCarriesCallsAndExecs(t *testing.T) {
	t.Parallel()
	fake := execAPI(answer(container.ExecInspect{Pid: 7, ExitCode: 5}), func(conn io.ReadWriter) {
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stdout).Write([]byte("over ssh"))
	})
	socket := filepath.Join(t.TempDir(), "it's.sock") // must be quoted for the other side's shell
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(fake.handler())
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)

	// The fake has no shell that would take the quotes off again.
	link := filepath.Join(t.TempDir(), "plain.sock")
	require.NoError(t, os.Symlink(socket, link))
	e := open(t, Options{Host: "ssh://me@lab:2222" + link, LookPath: testBinary})
	version, err := e.Ping(t.Context())
	require.NoError(t, err)
	require.Equal(t, "99.1", version)
	out, code, err := e.Run(t.Context(), "web", source.ExecSpec{Cmd: []string{"x"}})
	require.NoError(t, err)
	require.Equal(t, "over ssh", string(out))
	require.Equal(t, 5, code)
}

func TestSSHRunsTheCommandOfTheDockerCLI(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	for _, name := range []string{"docker", "podman"} {
		script := "#!/bin/sh\nfor word; do echo \"$word\"; done\nexit 7\n"
		require.NoError(t, os.WriteFile(filepath.Join(programs, name), []byte(script), 0o755))
	}
	for address, want := range map[string][]string{
		"ssh://lab":                     {"system", "dial-stdio"},
		"ssh://lab/":                    {"system", "dial-stdio"},
		"ssh://[fd00::1]/run/d.sock":    {"--host", "unix:///run/d.sock", "system", "dial-stdio"},
		"ssh://lab/a'b;$(x)":            {"--host", "unix:///a'b;$(x)", "system", "dial-stdio"},
		"ssh://lab/run/user/1/podman/p": {"--url", "unix:///run/user/1/podman/p", "system", "dial-stdio"},
	} {
		target, err := parseSSH(address, nil)
		require.NoError(t, err, address)
		for _, shell := range []string{"sh", "bash"} {
			if _, err := exec.LookPath(shell); err != nil {
				continue
			}
			cmd := exec.Command(shell, "-c", target.dialStdio())
			cmd.Env = []string{"PATH=" + programs + ":/usr/bin:/bin"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as sshd does
			input, err := cmd.StdinPipe()                        // it does not end before
			require.NoError(t, err)
			out, _ := cmd.Output()
			require.Equal(t, strings.Join(want, "\n")+"\n", string(out), address)
			require.Equal(t, 7, cmd.ProcessState.ExitCode(), "that of the CLI")
			_ = input.Close()
		}
	}
}

func TestSSHFailuresSayWhatSSHSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host         string
		look         func(string) (string, error)
		detail, hint string
	}{
		"refused":     {"ssh://somebody@denied", testBinary, "ssh to somebody@denied failed: somebody@denied: Permission denied (publickey).", "ssh somebody@denied docker version"},
		"no docker":   {"ssh://no-docker", testBinary, "docker: not found", "install the docker CLI there"},
		"no ssh":      {"ssh://lab", nothingInstalled, exec.ErrNotFound.Error(), "install an ssh client"},
		"no engine":   {"ssh://lab/nowhere/docker.sock", testBinary, "/nowhere/docker.sock", "ssh lab docker version"},
		"bad program": {"ssh://lab", func(string) (string, error) { return "/etc/passwd", nil }, "ssh to lab failed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireUnreachable(t, open(t, Options{Host: c.host, LookPath: c.look}), c.detail, c.hint)
		})
	}
}

func TestSSHCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Host: "ssh://deaf", LookPath: testBinary})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := e.Ping(ctx)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
	require.ErrorContains(t, err, "it took too long")
}
