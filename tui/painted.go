package tui

import (
	"fmt"
	"reflect"
	"runtime/debug"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
)

// painted is the model that Bubble Tea runs. It sends its frames to the painter.
// A panic ends the program: Bubble Tea restores the terminal and prints it; it is
// logged here first.
type painted struct {
	*model
	painter *draw.Painter
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
		p.painter.Resized()
	}
	_, cmd := p.model.Update(msg)
	return p, p.guarded(cmd)
}

// View implements tea.Model. It returns an empty frame: the painter draws.
func (p painted) View() string {
	defer p.logPanic("View")
	p.painter.Show(draw.Frame{Text: p.model.View(), Width: p.width})
	return ""
}

// logPanic is deferred; it logs a panic and panics again.
func (p painted) logPanic(where string) {
	if value := recover(); value != nil {
		p.panicked(where, value)
		panic(value)
	}
}

func (p painted) panicked(where string, value any) {
	p.log.Error(where+" panicked", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
}

// panickedMsg brings the panic of a command to Update. Bubble Tea would print it
// on the alternate screen, where it is lost.
type panickedMsg struct{ value any }

// guarded returns cmd, and all commands in its batch or sequence, with panics
// logged and sent to Update.
func (p painted) guarded(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer func() {
			if value := recover(); value != nil {
				p.panicked("a command", value)
				msg = panickedMsg{value}
			}
		}()
		msg = cmd()
		if many := reflect.ValueOf(msg); many.Kind() == reflect.Slice &&
			many.Type().Elem() == reflect.TypeFor[tea.Cmd]() {
			for i := range many.Len() {
				many.Index(i).Set(reflect.ValueOf(p.guarded(many.Index(i).Interface().(tea.Cmd))))
			}
		}
		return msg
	}
}
