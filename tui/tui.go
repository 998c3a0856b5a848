// Package tui is the terminal UI of a core. It uses the core only through
// api.Service, is not the owner of any state of it, and never blocks: every call
// runs in a command with a deadline, and its answer is a message.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"

	"daemon-proxy/core/api"
	_ "daemon-proxy/tui/background"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/logs"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/previews"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/sandbox"
	"daemon-proxy/tui/system"
	"daemon-proxy/tui/theme"
	"daemon-proxy/tui/world"
)

// The window's title is saved on the terminal's stack (xterm, XTWINOPS).
const (
	saveTitle    = "\x1b[22;2t"
	restoreTitle = "\x1b[23;2t"
)

// newModel returns the model of a core, with the state that the last run saved.
func newModel(ctx context.Context, core api.Service, o Options) (*model, error) {
	o = o.withDefaults()
	m := emptyModel()
	u := m.ui
	keys, err := newKeymap(actions(m), o.Keys)
	if err != nil {
		return nil, err
	}
	u.Env = pane.Env{Look: draw.New(o.Theme, o.ASCII), World: world.New(), Now: o.Now, Key: keys.key,
		Machine: o.machine(), Calls: pane.Calls{Ctx: ctx}}
	u.options, u.log, u.do = o, o.Logger, commands{Calls: u.Calls, backend: core, name: o.Name}
	u.notes = &notes{look: u.Look, log: u.log, changed: u.changed, doubt: m.follow.doubt}
	m.dispatch.keymap, m.mouse = keys, !o.NoMouse
	if o.ReadOnly {
		u.World.SetReadOnly()
	}
	saved := loadUIState(o.StateFile)
	u.listFocused = true
	u.list = sandbox.NewList(u.Env, saved.Sandbox, saved.Filter)
	u.overview = sandbox.NewOverview(u.Env)
	u.panes = [4]pane.Pane{
		u.overview, requests.New(u.Env, core, saved.Requests), previews.New(u.Env), logs.New(u.Env, core),
	}
	if saved.Tab > 0 && saved.Tab < len(u.panes) {
		u.tab = saved.Tab
	}
	return m, nil
}

// Run shows the UI until the user quits or ctx ends, neither of which is an error.
// It restores the terminal, even after a panic.
func Run(ctx context.Context, core api.Service, o Options) error {
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
	m, err := newModel(ctx, core, o)
	if err != nil {
		return err
	}
	if w, h, err := term.GetSize(int(o.Out.Fd())); err == nil {
		m.resize(w, h) // so that the first frame is complete
	}
	options := []tea.ProgramOption{
		// Signals end ctx. Bubble Tea's own handler would send a message to a loop
		// that ctx has already ended, and block forever.
		tea.WithoutSignalHandler(),
		tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(out), tea.WithAltScreen(),
		tea.WithFPS(draw.FramesPerSecond),
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
