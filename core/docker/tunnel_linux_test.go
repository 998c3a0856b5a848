package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/wiretest"
)

// An engine behind a real sshd that allows little.

// few are small limits of an sshd: of its sessions in one connection, and of its
// connections that are not logged in yet. The log shows each login.
var few = []string{"MaxSessions 2", "MaxStartups 2", "LogLevel VERBOSE"}

// remote is the engine of this machine, behind an sshd.
type remote struct {
	*wiretest.SSHD
	ssh string // the program
}

// newRemote starts the sshd; config is that of the user's ssh.
func newRemote(t *testing.T, sshd []string, config ...string) *remote {
	t.Helper()
	enginetest.Require(t)
	s := wiretest.NewSSHD(t, sshd...)
	return &remote{SSHD: s, ssh: s.Client(t, s.Address, "", config...)}
}

func (r *remote) options() docker.Options {
	return docker.Options{
		Host: "ssh://box" + strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://"), Env: func(string) string { return "" },
		LookPath: func(string) (string, error) { return r.ssh, nil },
	}
}

// logins is how often somebody has logged in.
func (r *remote) logins() int { return strings.Count(r.Said(), "Accepted publickey") }

// local are the processes on this side, and folders the folders that they use.
func (r *remote) local() []int { return wiretest.ProcessesWith(filepath.Dir(r.ssh) + "/") }

func (r *remote) folders(t *testing.T) (folders []string) {
	t.Helper()
	for _, pid := range r.local() {
		arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		folders = append(folders, regexp.MustCompile(`[^\x00]*/daemon-proxy-ssh-\d+`).FindAllString(string(arguments), -1)...)
	}
	return folders
}

// isLeft waits until nothing is left on either side.
func (r *remote) isLeft(t *testing.T, folders []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(r.local())+len(r.Connections())+len(r.Started()) == 0
	}, wiretest.Patience, wiretest.Tick)
	for _, folder := range folders {
		require.NoDirExists(t, folder)
	}
}

func TestB30AnEngineOverSSHNeedsOneConnectionAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sshd      []string
		maxLogins int
	}{
		"through a tunnel": {nil, 1},
		// One to find out, some for calls at a time, one each for events and an exec.
		"without tunnels": {[]string{"AllowStreamLocalForwarding no"}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.sshd != nil {
				wiretest.Program(t, "docker")
			}
			r := newRemote(t, append(c.sshd, few...))
			id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
			e, err := docker.Open(r.options())
			require.NoError(t, err)
			defer e.Close()

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			events, ended := e.Events(ctx)
			find(t, e, id)
			pipe, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
			require.NoError(t, err)
			var group sync.WaitGroup
			failures := make(chan error, 30)
			for range 30 {
				group.Go(func() {
					_, err := e.Inspect(t.Context(), id)
					failures <- err
				})
			}
			group.Wait()
			for range 30 {
				require.NoError(t, <-failures)
			}
			_, err = pipe.Write([]byte("still here\n"))
			require.NoError(t, err)
			echo := make([]byte, len("still here\n"))
			_, err = io.ReadFull(pipe, echo)
			require.NoError(t, err)
			require.Equal(t, "still here\n", string(echo))
			enginetest.Kill(t, id, "KILL")
			require.True(t, nextOf(t, events, id).Died)
			require.LessOrEqual(t, r.logins(), c.maxLogins, r.Said())
			require.NotEmpty(t, r.local())

			folders := r.folders(t)
			cancel()
			for range events {
			}
			require.ErrorIs(t, <-ended, context.Canceled)
			require.NoError(t, errors.Join(pipe.Close(), e.Close()))
			r.isLeft(t, folders)
		})
	}
}

func TestB30AnEngineOverSSHComesBackAfterItsConnectionWasCut(t *testing.T) {
	t.Parallel()
	for name, sshd := range map[string][]string{"through a tunnel": nil, "without tunnels": {"AllowStreamLocalForwarding no"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if sshd != nil {
				wiretest.Program(t, "docker")
			}
			r := newRemote(t, append(sshd, few...))
			e, err := docker.Open(r.options())
			require.NoError(t, err)
			defer e.Close()
			for range 3 {
				events, ended := e.Events(t.Context())
				_, err = e.Ping(t.Context())
				require.NoError(t, err)
				before := r.folders(t)
				r.Cut()
				for range events {
				}
				require.ErrorIs(t, wiretest.Receive(t, ended, "the events end"), &api.Problem{Code: api.CodeEngineUnreachable})
				require.Eventually(t, func() bool { _, err := e.Ping(t.Context()); return err == nil }, soon, wiretest.Tick)
				for _, folder := range before {
					require.NoDirExists(t, folder)
				}
			}
			require.NoError(t, e.Close())
			r.isLeft(t, nil)
		})
	}
}

func TestB30NothingOfAnSSHIsLeftWhenTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	for name, sshd := range map[string][]string{"through a tunnel": nil, "without tunnels": {"AllowStreamLocalForwarding no"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if sshd != nil {
				wiretest.Program(t, "docker")
			}
			r := newRemote(t, append(sshd, few...))
			id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
			desk := exec.Command(os.Args[0], "-test.run", "^TestSSHDeskHelper$")
			desk.Env = append(os.Environ(), "DOCKER_TEST_SSH="+r.ssh, "DOCKER_TEST_ENGINE="+r.options().Host, "DOCKER_TEST_CONTAINER="+id)
			said := &wiretest.Buffer{}
			desk.Stdout = said
			require.NoError(t, desk.Start())
			require.Eventually(t, func() bool { return strings.Contains(said.String(), "all is open") }, soon, wiretest.Tick)
			folders := r.folders(t)
			require.NotEmpty(t, r.local())
			require.NoError(t, desk.Process.Signal(syscall.SIGKILL))
			_ = desk.Wait()
			r.isLeft(t, folders)
		})
	}
}

// TestSSHDeskHelper is the program that is killed.
func TestSSHDeskHelper(t *testing.T) {
	ssh := os.Getenv("DOCKER_TEST_SSH")
	if ssh == "" {
		t.Skip("it is a part of another test")
	}
	e, err := docker.Open(docker.Options{
		Host: os.Getenv("DOCKER_TEST_ENGINE"), LookPath: func(string) (string, error) { return ssh, nil },
	})
	require.NoError(t, err)
	_, ended := e.Events(t.Context())
	_, err = e.OpenPipe(t.Context(), os.Getenv("DOCKER_TEST_CONTAINER"), source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
	require.NoError(t, err)
	_, err = e.List(t.Context())
	require.NoError(t, err)
	fmt.Println("all is open")
	t.Log(<-ended)
}

// What the user's configuration forwards is for the user's own sessions, whose
// ports it would take.
func TestATunnelForwardsNothingElse(t *testing.T) {
	t.Parallel()
	port := wiretest.FreePort(t)
	r := newRemote(t, few, fmt.Sprintf("LocalForward 127.0.0.1:%d 127.0.0.1:1", port), "ExitOnForwardFailure yes",
		"RemoteCommand echo from the configuration", "PermitLocalCommand yes", "LocalCommand echo from the configuration",
		"ControlMaster auto", "ControlPath "+filepath.Join(t.TempDir(), "c"), "ControlPersist yes", "LogLevel QUIET")
	e, err := docker.Open(r.options())
	require.NoError(t, err)
	defer e.Close()
	_, err = e.Ping(t.Context())
	require.NoError(t, err)
	_, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, e.Close())
	r.isLeft(t, nil)
}

func TestB30WhatSSHSaysOfAnEngineIsShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sshd         []string
		path         string
		config       []string
		detail, hint string
	}{
		"refused": {[]string{"PubkeyAuthentication no", "PasswordAuthentication yes", "KbdInteractiveAuthentication no"}, "", nil,
			"Permission denied", "without asking for a password (use a key and ssh-add): ssh box docker version"},
		"not there":   {nil, "", []string{"Port 1"}, "port 1: Connection refused", "ssh box docker version"},
		"no socket":   {[]string{"SetEnv PATH=/nowhere"}, "/run/no-such.sock", nil, "the socket /run/no-such.sock on box cannot be reached", "ssh://box/PATH"},
		"no docker":   {[]string{"SetEnv PATH=/nowhere", "AllowStreamLocalForwarding no"}, "", nil, "cannot be reached", "AllowStreamLocalForwarding"},
		"no engine":   {nil, "/run/no-such.sock", nil, "/run/no-such.sock: connect: no such file", "ssh box docker version"},
		"not trusted": {nil, "", []string{"StrictHostKeyChecking yes"}, "Host key verification failed", "ssh box docker version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "no engine" {
				wiretest.Program(t, "docker")
			}
			r := &remote{SSHD: wiretest.NewSSHD(t, append(c.sshd, few...)...)}
			r.ssh = r.Client(t, r.Address, "", c.config...)
			options := r.options()
			options.Host = "ssh://box" + c.path
			e, err := docker.Open(options)
			require.NoError(t, err)
			_, err = e.Ping(t.Context())
			require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
			problem := api.AsProblem(err)
			require.Contains(t, problem.Detail, c.detail)
			require.Contains(t, problem.Hint, c.hint)
			require.NoError(t, e.Close())
			r.isLeft(t, nil)
		})
	}
}

// What a crash of the machine has left: nobody listens on its socket.
func TestTheSocketsOfTunnelsThatWereKilledAreRemoved(t *testing.T) {
	parent, err := os.MkdirTemp("/tmp", "dp-test-") // short: it holds sockets
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(parent)) })
	t.Setenv("XDG_RUNTIME_DIR", parent)
	socket := func(name string, age time.Duration) (folder string, l net.Listener) {
		folder = filepath.Join(parent, name)
		require.NoError(t, os.Mkdir(folder, 0o700))
		l, err := net.Listen("unix", filepath.Join(folder, "s"))
		require.NoError(t, err)
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		require.NoError(t, os.Chtimes(filepath.Join(folder, "s"), time.Time{}, time.Now().Add(-age)))
		return folder, l
	}
	stale, l := socket("daemon-proxy-ssh-1", time.Hour)
	l.Close()
	young, l := socket("daemon-proxy-ssh-2", 0)
	l.Close()
	used, l := socket("daemon-proxy-ssh-3", time.Hour)
	defer l.Close()
	other, o := socket("daemon-proxy-x", time.Hour)
	o.Close()

	r := newRemote(t, few)
	e, err := docker.Open(r.options())
	require.NoError(t, err)
	defer e.Close()
	_, err = e.Ping(t.Context())
	require.NoError(t, err)
	require.NoDirExists(t, stale)
	for _, folder := range []string{young, used, other} {
		require.DirExists(t, folder)
	}
	for _, folder := range r.folders(t) {
		require.Equal(t, parent, filepath.Dir(folder))
		info, err := os.Stat(folder)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	}
}
