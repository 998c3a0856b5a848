package tui

import (
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

const (
	// framesPerSecond is how often Bubble Tea looks for something to paint. It
	// never finds anything: see painter.
	framesPerSecond = 1
	// paintsApart is the least time between two frames.
	paintsApart = 16 * time.Millisecond
)

// painter is the terminal. Bubble Tea's renderer looks for a new frame at a
// fixed rate, and each look wakes threads: at a rate that feels quick an idle
// program spends most of its CPU time there. So it looks once a second at an
// empty frame, which is dropped here, and a real one is painted when it comes,
// the lines of it that differ. All the rest, the modes of the terminal, stays
// Bubble Tea's.
//
// It is an *os.File, else Bubble Tea does not learn the window's size.
type painter struct {
	*os.File

	// writing is held while something is written, and a slow terminal can make that long.
	writing sync.Mutex
	taken   bool     // the alternate screen is shown: the terminal is the UI's
	lines   []string // what is on it, nil if that is not known
	width   int      // of the lines, in cells

	mu      sync.Mutex
	next    frame // to be painted
	due     bool  // it will be in a moment
	resized bool  // nothing is known of what is on the screen
	last    time.Time
}

// frame is what the screen should look like.
type frame struct {
	text  string // lines of width cells
	width int
}

// show has f painted soon, unless another one is shown before. It does not wait.
func (p *painter) show(f frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
	if p.due || f.text == "" {
		return
	}
	p.due = true
	time.AfterFunc(time.Until(p.last.Add(paintsApart)), p.paint)
}

func (p *painter) paint() {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	next, whole := p.next, p.resized
	p.due, p.resized, p.last = false, false, time.Now()
	p.mu.Unlock()
	lines := strings.Split(next.text, "\n")
	whole = whole || len(lines) != len(p.lines) || next.width != p.width
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
	p.lines, p.width = lines, next.width
	if _, err := p.File.WriteString(out.String()); err != nil {
		p.lines = nil // what of it came through is not known; a terminal that is gone ends the program otherwise
	}
}

// resize has the next frame painted whole.
func (p *painter) resize() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resized = true
}

// Write drops the frames of Bubble Tea's renderer. While the terminal is a
// shell's it writes.
func (p *painter) Write(frame []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.taken {
		return len(frame), nil
	}
	return p.File.Write(frame)
}

// WriteString takes control sequences: Bubble Tea's, of which those that take
// and leave the alternate screen are heeded, and our own.
func (p *painter) WriteString(sequence string) (int, error) {
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

// painted is the model as Bubble Tea runs it, with its frames on the screen.
type painted struct {
	*model
	painter *painter
}

// Init implements tea.Model.
func (p painted) Init() tea.Cmd { return p.guarded(p.model.Init()) }

// Update implements tea.Model.
func (p painted) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if msg, ok := msg.(panickedMsg); ok {
		panic(msg.value)
	}
	defer p.logPanic("Update")
	if _, ok := msg.(tea.WindowSizeMsg); ok {
		p.painter.resize()
	}
	_, cmd := p.model.Update(msg)
	return p, p.guarded(cmd)
}

// View implements tea.Model. What Bubble Tea gets is empty.
func (p painted) View() string {
	defer p.logPanic("View")
	p.painter.show(frame{p.model.View(), p.width})
	return ""
}
