//go:build linux

package tui

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is a process with a terminal of its own: the test binary as the UI on the fake core.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	pty  *os.File
	tty  *os.File // kept open, so that its modes can be read after the end
	mode *unix.Termios

	mu  sync.Mutex
	out bytes.Buffer
}

func startTerminal(t *testing.T, play string, env ...string) *terminal {
	t.Helper()
	p, tty, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(p, &pty.Winsize{Cols: 120, Rows: 40}))
	mode, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	x := &terminal{t: t, pty: p, tty: tty, mode: mode, cmd: exec.Command(self)}
	// Bubble Tea's input reader races with its own end (muesli/cancelreader
	// v0.2.2 reads a flag of the file), and a new size during a shell with the
	// return from it; these alone must not fail a test.
	x.cmd.Env = append([]string{"GORACE=exitcode=0", "DAEMON_PROXY_PLAY=" + play, "TERM=xterm-256color",
		"LANG=C.UTF-8", "COLORFGBG=15;0"}, env...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = tty, tty, tty
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, x.cmd.Start())
	go func() {
		buffer := make([]byte, 32<<10)
		for {
			n, err := p.Read(buffer)
			x.mu.Lock()
			x.out.Write(buffer[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = x.cmd.Process.Kill(); p.Close(); tty.Close() })
	return x
}

func (x *terminal) output() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.out.String()
}

func (x *terminal) shows(words string) {
	x.t.Helper()
	require.Eventually(x.t, func() bool { return strings.Contains(x.output(), words) }, soon, 10*time.Millisecond,
		"%q", words)
}

func (x *terminal) press(keys string) {
	x.t.Helper()
	_, err := io.WriteString(x.pty, keys)
	require.NoError(x.t, err)
}

// restored waits for the end and looks whether the terminal is as it was.
func (x *terminal) restored() (exitCode int) {
	x.t.Helper()
	ended := make(chan struct{})
	go func() { _ = x.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(soon):
		x.t.Fatalf("it does not end")
	}
	x.shows(restoreTitle) // the last that it writes
	for _, sequence := range []string{"\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l", "\x1b[?1002l"} {
		on := strings.NewReplacer("?25h", "?25l", "l", "h").Replace(sequence)
		x.shows(sequence)
		out := x.output()
		require.Greater(x.t, strings.LastIndex(out, sequence), strings.LastIndex(out, on), "%q is the last word",
			sequence)
	}
	mode, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	require.NoError(x.t, err)
	require.Equal(x.t, x.mode.Lflag, mode.Lflag)
	require.Equal(x.t, x.mode.Iflag, mode.Iflag)
	require.Equal(x.t, strings.Count(x.output(), "DATA RACE"),
		strings.Count(x.output(), "(*epollCancelReader).Close()")+strings.Count(x.output(),
			"(*Program).checkResize()"), "%q", x.output())
	return x.cmd.ProcessState.ExitCode()
}

func TestTheTerminalIsRestored(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, play string
		end        func(*terminal)
		logged     string // of the panic, and where it came from
		from       string
	}{
		{"after q", "1", func(x *terminal) { x.press("q") }, "", ""},
		{"after ctrl+c", "1", func(x *terminal) { x.press("\x03") }, "", ""},
		{"after SIGTERM", "1", func(x *terminal) { _ = x.cmd.Process.Signal(syscall.SIGTERM) }, "", ""},
		{"after a panic in Update", "panic in Update", nil, `msg="Update panicked" panic="the log is broken"`,
			"lostStream"},
		{"after a panic in View", "panic in View", nil, `msg="View panicked" panic="the clock is broken"`, "draw"},
		{"after a panic in a command", "panic in a command", func(x *terminal) { x.press("R") },
			`msg="a command panicked" panic="the core is broken"`, "RetryEngine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			x := startTerminal(t, test.play, "DAEMON_PROXY_LOG="+log)
			if test.end != nil {
				x.shows("my-sandbox")
				test.end(x)
			}
			code := x.restored()
			if test.logged == "" {
				require.Zero(t, code, "%q", x.output())
				return
			}
			require.Equal(t, 1, code, "%q", x.output())
			logged, err := os.ReadFile(log)
			require.NoError(t, err)
			require.Contains(t, string(logged), test.logged)
			require.Contains(t, string(logged), test.from)
			require.Equal(t, 1, strings.Count(string(logged), "level=ERROR"), string(logged))
			x.shows("(the log is " + log + ")\r\n")
			require.True(t, strings.HasSuffix(x.output(), "(the log is "+log+")\r\n"), "%q", x.output())
			_, after, _ := strings.Cut(x.output(), "\x1b[?1049l")
			_, panic, _ := strings.Cut(test.logged, "panic=")
			require.Contains(t, after, strings.Trim(panic, `"`), "the terminal was given back before it was said")
		})
	}
}

func TestACopyReachesTheTerminal(t *testing.T) {
	t.Parallel()
	x := startTerminal(t, "1")
	x.shows("Previews")
	x.shows("desktop")
	x.press("y")
	x.shows("\x1b]52;c;aHR0cDovL2szdjlhYWFhYmJiYi5sb2NhbGhvc3Q6ODA4MC92bmMuaHRtbD9hdXRvY29ubmVjdD10cnVlJnJlc2l6ZT1zY2FsZQ==\x07") // the URL in base64
	x.press("q")
	x.restored()
}

func TestAShellHasTheTerminalUntilItExits(t *testing.T) {
	t.Parallel()
	x := startTerminal(t, "1")
	x.shows("my-sandbox")
	x.press("e")
	x.shows("shell in my-sandbox, exit returns")
	x.shows("size 120x40")
	out := x.output()
	require.Greater(t, strings.LastIndex(out, "\x1b[?1049l"), strings.LastIndex(out, "\x1b[?1049h"),
		"the screen is the shell's")
	require.Greater(t, strings.LastIndex(out, "\x1b[?1002l"), strings.LastIndex(out, "\x1b[?1002h"), "the mouse too")
	x.press("q\x03\x1b[A é\r")
	x.shows(`told "q\x03\x1b[A é"`)
	require.NoError(t, pty.Setsize(x.pty, &pty.Winsize{Cols: 100, Rows: 30}))
	x.shows("size 100x30")
	before := len(x.output())
	x.press("exit\r")
	after := func() string { return x.output()[before:] }
	for _, words := range []string{"\x1b[?1049h", "\x1b[?1002h", "\x1b[2J", "daemon-proxy", "Sandboxes", "\x1b[30;1H"} {
		require.Eventually(t, func() bool { return strings.Contains(after(), words) }, soon, 10*time.Millisecond,
			"%q", words)
	}
	x.press("q")
	require.Zero(t, x.restored())
}

func TestTheMouseIsTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	x := startTerminal(t, "1")
	x.shows("my-sandbox")
	x.shows("\x1b[?1002h")
	for _, sequence := range []string{"\x1b[?1002l", "\x1b[?1002h"} {
		before := len(x.output())
		x.press("m")
		require.Eventually(t, func() bool { return strings.Contains(x.output()[before:], sequence) }, soon,
			10*time.Millisecond, "%q", sequence)
	}
	x.press("q")
	require.Zero(t, x.restored())
}

func TestWithoutColoursTheChosenRowIsReversed(t *testing.T) {
	t.Parallel()
	x := startTerminal(t, "1", "NO_COLOR=1")
	x.shows("exited") // the list has come
	x.press("j")
	x.shows("▸ ✕ old")
	x.press("q")
	require.Zero(t, x.restored())
	sequences := regexp.MustCompile(`\x1b\[([0-9;:]*)m`).FindAllStringSubmatch(x.output(), -1)
	require.Contains(t, sequences, []string{"\x1b[7m", "7"})
	for _, s := range sequences {
		for param := range strings.SplitSeq(s[1], ";") {
			require.Contains(t, []string{"", "0", "1", "2", "3", "4", "7", "22", "23", "24", "27"}, param, "%q", s[0])
		}
	}
}

func TestNothingIsWrittenWhileNothingHappens(t *testing.T) {
	t.Parallel()
	x := startTerminal(t, "still")
	x.shows("desktop")
	var before string
	require.Eventually(t, func() bool { // the last answers may still be on their way
		was := before
		before = x.output()
		return was == before
	}, soon, time.Second)
	select {
	case <-time.After(1500 * time.Millisecond): // what is looked for is that nothing comes
	case <-t.Context().Done():
	}
	require.Equal(t, before, x.output())
	x.press("q")
	x.restored()
}

func TestANarrowWindowIsRedrawnWhole(t *testing.T) {
	t.Parallel()
	x := startTerminal(t, "1")
	x.shows("desktop")
	for _, size := range [][2]uint16{{30, 5}, {80, 24}, {0, 0}, {1, 1}, {200, 60}, {59, 14}} {
		require.NoError(t, pty.Setsize(x.pty, &pty.Winsize{Cols: size[0], Rows: size[1]}))
	}
	x.shows("needs 60×15, is 59×14")
	x.press("q")
	require.Zero(t, x.restored())
}
