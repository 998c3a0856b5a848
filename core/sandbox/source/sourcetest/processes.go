package sourcetest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/sandbox/source"
)

func sh(script string) source.ExecSpec {
	return source.ExecSpec{Cmd: []string{"/bin/sh", "-c", script}}
}

func run(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	env, user, tty := sh("echo $X-$PATH"), sh("pwd; id -un"), sh("test -t 1 && echo yes")
	env.Env, user.WorkDir, user.User, tty.Tty = []string{"X=a b"}, "/tmp", "somebody", true
	for name, c := range map[string]struct {
		spec source.ExecSpec
		out  string
		code int
	}{
		"exit code":       {sh("echo out; exit 7"), "out\n", 7},
		"standard error":  {sh("echo err >&2"), "err\n", 0},
		"quick":           {source.ExecSpec{Cmd: []string{"/bin/true"}}, "", 0},
		"environment":     {env, "a b-/bin\n", 0},
		"folder and user": {user, "/tmp\nsomebody\n", 0},
		"terminal":        {tty, "yes\r\n", 0},
	} {
		out, code, err := s.Run(t.Context(), id, c.spec)
		require.NoError(t, err, name)
		require.Equal(t, c.out, string(out), name)
		require.Equal(t, c.code, code, name)
	}
	for name, spec := range map[string]source.ExecSpec{
		"no such program": {Cmd: []string{"/no/such/program"}},
		"no such folder":  {Cmd: []string{"/bin/true"}, WorkDir: "/no/such/folder"},
	} {
		out, code, err := s.Run(t.Context(), id, spec)
		require.NoError(t, err, name)
		require.Contains(t, []int{126, 127}, code, name)
		require.Contains(t, string(out), "no such file or directory", name)
	}
}

func muchOutput(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	out, code, err := s.Run(t.Context(), id, sh("echo start; yes | head -c 5000000; exit 4"))
	require.NoError(t, err)
	require.Equal(t, 4, code)
	require.Len(t, out, 1<<20)
	require.True(t, strings.HasPrefix(string(out), "start\ny\n"))
}

func leftAlone(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	// It writes much more than the engine's buffers hold, with nobody there to read.
	p, err := s.Start(t.Context(), id,
		sh("echo ready; sleep 1; for i in $(seq 20); do yes | head -c 100000; done; echo done > /tmp/done; exit 9"))
	require.NoError(t, err)
	line, err := bufio.NewReader(p.Output()).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	running, _, err := p.Running(t.Context())
	require.NoError(t, err)
	require.True(t, running)
	require.NoError(t, p.Close())
	_, err = p.Output().Read(make([]byte, 1))
	require.Error(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	code, err := p.Wait(ctx)
	require.NoError(t, err)
	// Engines before 23 lose the code of a process whose output nobody takes.
	require.Contains(t, []int{9, 126}, code)
	require.Eventually(t, func() bool {
		_, err := s.Stat(t.Context(), id, "/tmp/done")
		return err == nil
	}, soon, 20*time.Millisecond)
}

func outputWhileItRuns(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	p, err := s.Start(t.Context(), id, sh("echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo second >&2"))
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	lines := bufio.NewScanner(p.Output())
	require.True(t, lines.Scan())
	require.Equal(t, "first", lines.Text())
	_, _, err = s.Run(t.Context(), id, sh("touch /tmp/go"))
	require.NoError(t, err)
	require.True(t, lines.Scan())
	require.Equal(t, "second", lines.Text())
	require.False(t, lines.Scan())
	require.NoError(t, lines.Err())
	code, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.Zero(t, code)
}

func contextsOfProcesses(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	p, err := s.Start(t.Context(), id, sh("sleep 3600"))
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = p.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	reading, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := s.Run(reading, id, sh("touch /tmp/reading; sleep 3600"))
		ended <- err
	}()
	reads := func() bool { return second(s.Stat(t.Context(), id, "/tmp/reading")) == nil }
	require.Eventually(t, reads, soon, 20*time.Millisecond)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func processAndContainer(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	p, err := s.Start(t.Context(), id, sh("echo up; sleep 3600"))
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	_, err = io.ReadFull(p.Output(), make([]byte, 3))
	require.NoError(t, err)
	require.NoError(t, s.StopContainer(t.Context(), id, 0))
	_, err = io.ReadAll(p.Output())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	code, err := p.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 137, code)
}

func terminal(t *testing.T, w World) {
	id := w.Start(t)
	shell, err := w.Source.OpenTerminal(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh"}}, 91, 17)
	require.NoError(t, err)
	defer shell.Close()
	lines := bufio.NewScanner(shell)
	says := func(command, want string) {
		t.Helper()
		_, err := io.WriteString(shell, command+"\n")
		require.NoError(t, err)
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("no %q: %v", want, lines.Err())
	}
	says("stty size", "17 91")
	require.NoError(t, shell.Resize(t.Context(), 60, 33))
	says("stty size", "33 60")
	says("tty", "/dev/pts/")
	_, err = io.WriteString(shell, "exit 7\n")
	require.NoError(t, err)
	for lines.Scan() { // to the end of the output
	}
	require.NoError(t, lines.Err())
	code, err := shell.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, code)
	running, code, err := shell.Running(t.Context())
	require.NoError(t, err)
	require.False(t, running)
	require.Equal(t, 7, code)
}

func logs(t *testing.T, w World) {
	id := w.Start(t, "/bin/sh", "-c", "echo one; echo two >&2; echo three")
	read := func(tail int, follow bool) string {
		t.Helper()
		logs, err := w.Source.Logs(t.Context(), id, tail, follow)
		require.NoError(t, err)
		text, err := io.ReadAll(logs)
		require.NoError(t, errors.Join(err, logs.Close()))
		return string(text)
	}
	text := read(-1, true) // until the container ends
	require.Len(t, text, len("one\ntwo\nthree\n"))
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		require.Contains(t, text, line)
	}
	require.Equal(t, text, read(-1, false))
	require.Equal(t, 2, strings.Count(read(2, false), "\n"))
}

func followedLogs(t *testing.T, w World) {
	id := w.Start(t, "/bin/sh", "-c", "echo up; exec sleep 3600")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	logs, err := w.Source.Logs(ctx, id, -1, true)
	require.NoError(t, err)
	_, err = io.ReadFull(logs, make([]byte, len("up\n")))
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(logs)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, logs.Close())
}
