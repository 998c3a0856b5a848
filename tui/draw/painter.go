package draw

import (
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

const (
	// FramesPerSecond is how often Bubble Tea looks for something to paint. It
	// never finds anything: see Painter.
	FramesPerSecond = 1
	// paintsApart is the least time between two frames.
	paintsApart = 16 * time.Millisecond
)

// Painter is the terminal. Bubble Tea's renderer looks for a new frame at a
// fixed rate, and each look wakes threads: at a rate that feels quick an idle
// program spends most of its CPU time there. So it looks once a second at an
// empty frame, which is dropped here, and a real one is painted when it comes,
// the lines of it that differ. All the rest, the modes of the terminal, stays
// Bubble Tea's.
//
// It is an *os.File, else Bubble Tea does not learn the window's size.
type Painter struct {
	*os.File

	// writing is held while something is written, and a slow terminal can make that long.
	writing sync.Mutex
	taken   bool     // the alternate screen is shown: the terminal is the UI's
	lines   []string // what is on it, nil if that is not known
	width   int      // of the lines, in cells

	mu      sync.Mutex
	next    Frame // to be painted
	due     bool  // it will be in a moment
	resized bool  // nothing is known of what is on the screen
	last    time.Time
}

// Frame is what the screen should look like.
type Frame struct {
	Text  string // lines of width cells
	Width int
}

// Show has f painted soon, unless another one is shown before. It does not wait.
func (p *Painter) Show(f Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
	if p.due || f.Text == "" {
		return
	}
	p.due = true
	time.AfterFunc(time.Until(p.last.Add(paintsApart)), p.paint)
}

func (p *Painter) paint() {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	next, whole := p.next, p.resized
	p.due, p.resized, p.last = false, false, time.Now()
	p.mu.Unlock()
	lines := strings.Split(next.Text, "\n")
	whole = whole || len(lines) != len(p.lines) || next.Width != p.width
	if !p.taken || !whole && slices.Equal(lines, p.lines) {
		return
	}
	var out strings.Builder
	out.WriteString(ansi.CursorHomePosition)
	for i, line := range lines {
		if whole || line != p.lines[i] {
			if i > 0 {
				out.WriteString(ansi.CursorPosition(1, i+1))
			}
			out.WriteString(line)
		}
	}
	out.WriteString(ansi.CursorPosition(1, len(lines))) // where a terminal without an alternate screen goes on
	p.lines, p.width = lines, next.Width
	if _, err := p.File.WriteString(out.String()); err != nil {
		p.lines = nil // what of it came through is not known; a terminal that is gone ends the program otherwise
	}
}

// Resized makes the next frame be painted whole.
func (p *Painter) Resized() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resized = true
}

// Write drops the frames of Bubble Tea's renderer. While the terminal is a
// shell's it writes.
func (p *Painter) Write(frame []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.taken {
		return len(frame), nil
	}
	return p.File.Write(frame)
}

// WriteString takes control sequences: Bubble Tea's, of which those that take
// and leave the alternate screen are heeded, and our own.
func (p *Painter) WriteString(sequence string) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	switch sequence {
	case ansi.SetModeAltScreenSaveCursor:
		p.taken, p.lines = true, nil
	case ansi.EraseEntireScreen:
		p.lines = nil
	case ansi.ResetModeAltScreenSaveCursor:
		p.taken = false
	}
	return p.File.WriteString(sequence)
}
