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
	// FramesPerSecond is how often Bubble Tea's renderer runs. It never has
	// anything to paint: see Painter.
	FramesPerSecond = 1
	// paintsApart is the least time between two frames.
	paintsApart = 16 * time.Millisecond
)

// Painter is the terminal. Bubble Tea's renderer checks for a new frame at a fixed
// rate, and each check wakes threads: at a rate that feels fast, an idle program
// spends most of its CPU time there. So Bubble Tea renders an empty frame once a
// second, which is dropped here, and a real frame is painted when it comes, only
// the lines that differ. Bubble Tea still handles the modes of the terminal.
//
// It must be an *os.File: otherwise Bubble Tea does not get the window's size.
type Painter struct {
	*os.File

	// writing is held during a write, which may be slow.
	writing sync.Mutex
	taken   bool     // the alternate screen is shown: the terminal is the UI's
	lines   []string // on the screen; nil if unknown
	width   int      // of the lines, in cells

	mu      sync.Mutex
	next    Frame // to be painted
	due     bool  // a timer is running for it
	resized bool  // the content of the screen is unknown
	last    time.Time
}

// Frame is what the screen should look like.
type Frame struct {
	Text  string // lines of width cells
	Width int
}

// Show schedules f to be painted, unless another frame replaces it before. It does
// not block.
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
	out.WriteString(ansi.CursorPosition(1, len(lines))) // where a terminal without an alternate screen continues
	p.lines, p.width = lines, next.Width
	if _, err := p.File.WriteString(out.String()); err != nil {
		p.lines = nil // unknown how much was written; the end of the terminal is handled elsewhere
	}
}

// Resized makes the next frame a complete one.
func (p *Painter) Resized() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resized = true
}

// Write drops the frames of Bubble Tea's renderer. While a shell has the terminal,
// it writes.
func (p *Painter) Write(frame []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.taken {
		return len(frame), nil
	}
	return p.File.Write(frame)
}

// WriteString writes control sequences, Bubble Tea's and our own. It notes those
// that enter and leave the alternate screen.
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
