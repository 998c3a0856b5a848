package core

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

// inContainer runs a script in the container of ref and returns what it prints.
func inContainer(t *testing.T, ref api.Ref, script string) string {
	t.Helper()
	out, _, err := enginetest.Require(t).Run(t.Context(), ref.Name, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", script}})
	require.NoError(t, err)
	return string(out)
}

// running are the command lines of the processes of the container, but for those
// that are its own.
func running(t *testing.T, ref api.Ref) string {
	t.Helper()
	all := inContainer(t, ref, `for f in /proc/[0-9]*; do
		[ "$f" = /proc/1 ] || [ "$f" = /proc/$$ ] || tr '\0' ' ' <"$f/cmdline"
	done 2>/dev/null`)
	return strings.Replace(all, "sleep 3600 ", "", 1)
}

// typist types into a shell and waits for what it shows.
type typist struct {
	api.Terminal
	t     *testing.T
	lines *bufio.Reader
}

func shellIn(t *testing.T, s api.Service, ref api.Ref) *typist {
	t.Helper()
	shell, err := s.Shell(t.Context(), ref, 91, 17)
	require.NoError(t, err)
	t.Cleanup(func() { shell.Close() })
	return &typist{shell, t, bufio.NewReader(shell)}
}

func (p *typist) types(text string) {
	p.t.Helper()
	_, err := io.WriteString(p.Terminal, text)
	require.NoError(p.t, err)
}

// shows reads to the end of the first line that contains want and is not the
// echo of what was typed.
func (p *typist) shows(want string) string {
	p.t.Helper()
	for {
		line, err := p.lines.ReadString('\n')
		require.NoError(p.t, err, "no %q", want)
		if strings.Contains(line, want) && !strings.Contains(line, "echo") && !strings.Contains(line, "stty") {
			return line
		}
	}
}

func TestS72NothingOfAShellIsLeftInTheContainer(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t)
	const before = "sleep 1000 & sleep 2000 | cat & echo begun$((1+1))\r"
	for name, typed := range map[string]string{
		"at the prompt":                "",
		"with a program in front":      "exec sleep 3000\r",
		"with one that is stopped":     "sleep 4000\r\x1a",
		"with one that ignores it all": "trap '' HUP TERM INT; while :; do sleep 1; done\r",
	} {
		for service, s := range map[string]api.Service{"core": c, "client": far(t, c)} {
			ended := t.Run(name+" "+service, func(t *testing.T) {
				shell := shellIn(t, s, ref)
				shell.types(before)
				shell.shows("begun2")
				shell.types(typed)
				require.Contains(t, running(t, ref), "sleep 2000")
				require.NoError(t, shell.Close())
				require.Eventually(t, func() bool { return running(t, ref) == "" }, soon, look)
			})
			require.True(t, ended) // the next would find what is left
		}
	}
}

func TestAShellOverHTTPIsATerminal(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t)
	shell := shellIn(t, far(t, c), ref)
	shell.types("stty size\r")
	shell.shows("17 91")
	require.NoError(t, shell.Resize(t.Context(), 60, 33))
	shell.types("stty size\r")
	shell.shows("33 60")

	// A key is the terminal's to interpret.
	shell.types("sleep 1000\r")
	require.Eventually(t, func() bool { return strings.Contains(running(t, ref), "sleep 1000") }, soon, look)
	shell.types("\x03")
	shell.types("echo alive$((1+1))\r")
	shell.shows("alive2")
	require.NotContains(t, running(t, ref), "sleep 1000")

	// Bytes are not.
	every := make([]byte, 256)
	want := make([]string, len(every))
	for i := range every {
		every[i], want[i] = byte(i), fmt.Sprintf("%02x", i)
	}
	shell.types("stty raw -echo; echo ready$((1+1)); head -c 256 | od -An -v -tx1; exit 9\r")
	shell.shows("ready2")
	shell.types(string(every))
	rest, err := io.ReadAll(shell.lines)
	require.NoError(t, err)
	require.Equal(t, want, strings.Fields(string(rest)))
	code, err := shell.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 9, code)
}

func TestALotPassesThroughAShell(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t)
	shell := shellIn(t, far(t, c), ref)
	const size = 32 << 20
	shell.types(fmt.Sprintf("stty -echo raw; head -c %d /dev/zero; exit\r", size))
	var zeros int
	for piece := make([]byte, 1<<16); ; {
		n, err := shell.lines.Read(piece)
		for _, b := range piece[:n] {
			if b == 0 {
				zeros++
			}
		}
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	require.Equal(t, size, zeros)
}

// The end of the core ends its shells, before the engine is left.
func TestS72NothingOfAShellIsLeftWhenTheCoreEnds(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t)
	shell := shellIn(t, far(t, c), ref)
	shell.types("sleep 5000 & echo begun$((1+1))\r")
	shell.shows("begun2")
	c.cancel()
	_, err := io.ReadAll(shell.lines)
	require.ErrorContains(t, err, "shutting down")
	require.NoError(t, c.Wait())
	require.Empty(t, running(t, ref))
}
