package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"

	_ "daemon-proxy/tui/background" // answers before Bubble Tea asks the terminal
	"daemon-proxy/tui/theme"
)

// framesPerSecond is how often Bubble Tea looks for something to paint: at 25
// a key is painted within 40 ms, and an idle program costs 0.3 % of a core.
const framesPerSecond = 25

// Options configure Run. The zero value is a UI on standard input and output
// that saves nothing.
type Options struct {
	In, Out *os.File // nil: standard input and output
	// Theme is one of theme.Names; ASCII draws without Unicode.
	Theme string
	ASCII bool
	// ReadOnly takes every action away that changes something.
	ReadOnly bool
	NoMouse  bool
	// Keys are other keys for actions by name: "i, ctrl+i", or "none".
	Keys map[string]string
	// StateFile keeps filter, sandbox and tab between runs; empty: nothing is kept.
	StateFile string
	Logger    *slog.Logger // nil: nothing is logged
	Now       func() time.Time
	// Browse opens a URL, Copy fills the clipboards; nil: the machine's own ways.
	Browse func(url string) error
	Copy   func(s string) error
}

func (o Options) withDefaults() Options {
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Browse == nil {
		o.Browse = systemBrowser(os.Getenv)
	}
	return o
}

// Run shows the UI until the person quits or ctx ends, neither of which is an
// error. The terminal is then as it was, also after a panic.
func Run(ctx context.Context, backend Backend, o Options) error {
	o = o.withDefaults()
	o.ASCII = o.ASCII || !theme.UTF8(os.Getenv)
	o.Theme = theme.Choose(o.Theme, os.Getenv, o.Out)
	out := &lockedFile{File: o.Out}
	if o.Copy == nil {
		o.Copy = func(s string) error { return copyTo(out, s, os.Getenv) }
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends every command
	m, err := newModel(ctx, backend, o)
	if err != nil {
		return err
	}
	if w, h, err := term.GetSize(int(o.Out.Fd())); err == nil {
		m.width, m.height = w, h // so that the first frame is a whole one
	}
	options := []tea.ProgramOption{
		// Signals end ctx. Bubble Tea's own handler would send a message into a
		// loop that ctx has ended already, and its end would wait for it for ever.
		tea.WithoutSignalHandler(),
		tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(out), tea.WithAltScreen(), tea.WithFPS(framesPerSecond),
	}
	if m.mouse {
		options = append(options, tea.WithMouseCellMotion())
	}
	_, err = tea.NewProgram(m, options...).Run()
	if save := m.saveUIState(); save != nil {
		o.Logger.Warn("what the UI showed is not kept", "error", save)
	}
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("the terminal UI: %w", err)
	case ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return err
}

// lockedFile lets frames and clipboard sequences be written from different
// goroutines. It is an *os.File, else Bubble Tea does not learn the window's size.
type lockedFile struct {
	*os.File
	mu sync.Mutex
}

// Write writes p whole before anybody else writes.
func (f *lockedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.File.Write(p)
}

var _ io.Writer = (*lockedFile)(nil)
