package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"

	_ "daemon-proxy/tui/background"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/system"
	"daemon-proxy/tui/theme"
)

// The window's title is put on the terminal's stack meanwhile (xterm, XTWINOPS).
const (
	saveTitle    = "\x1b[22;2t"
	restoreTitle = "\x1b[23;2t"
)

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
	// Keys are other keys for actions by name: "i, ctrl+n", or "none".
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
	return o
}

// Run shows the UI until the person quits or ctx ends, neither of which is an
// error. The terminal is then as it was, also after a panic.
func Run(ctx context.Context, backend Backend, o Options) error {
	o = o.withDefaults()
	o.ASCII = o.ASCII || !theme.UTF8(os.Getenv)
	o.Theme = theme.Choose(o.Theme, os.Getenv, o.Out)
	out := &draw.Painter{File: o.Out}
	if o.Browse == nil {
		o.Browse = system.Browser(os.Getenv)
	}
	if o.Copy == nil {
		o.Copy = func(s string) error { return system.Copy(out, system.Clipboard, s, os.Getenv) }
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends every command
	m, err := newModel(ctx, backend, o)
	if err != nil {
		return err
	}
	if w, h, err := term.GetSize(int(o.Out.Fd())); err == nil {
		m.resize(w, h) // so that the first frame is a whole one
	}
	options := []tea.ProgramOption{
		// Signals end ctx. Bubble Tea's own handler would send a message into a
		// loop that ctx has ended already, and its end would wait for it for ever.
		tea.WithoutSignalHandler(),
		tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(out), tea.WithAltScreen(), tea.WithFPS(draw.FramesPerSecond),
	}
	if m.mouse {
		options = append(options, tea.WithMouseCellMotion())
	}
	_, _ = io.WriteString(out, saveTitle)
	defer func() { _, _ = io.WriteString(out, restoreTitle) }()
	_, err = tea.NewProgram(painted{m, out}, options...).Run()
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
