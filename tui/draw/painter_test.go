package draw

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
)

// newPainter is a painter whose terminal is a pipe, and what came out of it.
func newPainter(t *testing.T) (p *Painter, written func() string) {
	t.Helper()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	var mu sync.Mutex
	var all strings.Builder
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 4096)
		for {
			n, err := out.Read(buffer)
			mu.Lock()
			all.Write(buffer[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { in.Close(); <-ended; out.Close() })
	return &Painter{File: in}, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

func eventually(t *testing.T, written func() string, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return written() == want }, 10*time.Second, time.Millisecond, "%q", want)
}

func take(t *testing.T, p *Painter) {
	t.Helper()
	_, err := io.WriteString(p, ansi.SetModeAltScreenSaveCursor)
	require.NoError(t, err)
}

func TestOnlyLinesThatDifferArePainted(t *testing.T) {
	t.Parallel()
	p, written := newPainter(t)
	take(t, p)
	want := "\x1b[?1049h\x1b[Haaa\x1b[2;1Hbbb\x1b[2;1H"
	p.Show(Frame{"aaa\nbbb", 3})
	eventually(t, written, want)
	p.Show(Frame{"aaa\nbbb", 3})
	p.paint()
	p.Show(Frame{"aaa\nccc", 3})
	want += "\x1b[H\x1b[2;1Hccc\x1b[2;1H"
	eventually(t, written, want)
	p.Show(Frame{"aaa", 3}) // a smaller window
	want += "\x1b[Haaa\x1b[H"
	eventually(t, written, want)
	p.Resized() // there and back
	p.Show(Frame{"aaa", 3})
	want += "\x1b[Haaa\x1b[H"
	eventually(t, written, want)
}

func TestTheScreenIsPaintedWholeAfterAShell(t *testing.T) {
	t.Parallel()
	p, written := newPainter(t)
	take(t, p)
	p.Show(Frame{"a", 1})
	want := "\x1b[?1049h\x1b[Ha\x1b[H"
	eventually(t, written, want)
	_, err := p.Write([]byte("a frame of Bubble Tea's"))
	require.NoError(t, err)
	_, err = io.WriteString(p, ansi.ResetModeAltScreenSaveCursor)
	require.NoError(t, err)
	p.Show(Frame{"b", 1}) // the terminal is not ours
	p.paint()
	_, err = p.Write([]byte("$ "))
	require.NoError(t, err)
	want += "\x1b[?1049l$ "
	eventually(t, written, want)
	take(t, p)
	p.Show(Frame{"b", 1})
	want += "\x1b[?1049h\x1b[Hb\x1b[H"
	eventually(t, written, want)
}

func TestATerminalThatDoesNotReadStopsNobody(t *testing.T) {
	t.Parallel()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	p := &Painter{File: in}
	take(t, p)
	huge := strings.Repeat("x", 1<<20) // more than a pipe holds
	p.Show(Frame{huge, 1 << 20})
	_, err = io.ReadFull(out, make([]byte, len(ansi.SetModeAltScreenSaveCursor)+1))
	require.NoError(t, err) // from here on a write waits for the terminal
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		for i := range 100 {
			p.Show(Frame{huge + string(rune('a'+i%26)), 1<<20 + 1})
			p.Resized()
		}
	}()
	select {
	case <-shown:
	case <-time.After(10 * time.Second):
		require.Fail(t, "show waits for the terminal")
	}
	out.Close()
	in.Close()
	p.writing.Lock() // the write has ended
	defer p.writing.Unlock()
}
