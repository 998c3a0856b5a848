package tui

import (
	"fmt"
	"reflect"
	"runtime/debug"

	tea "github.com/charmbracelet/bubbletea"
)

// A panic ends the program: Bubble Tea gives the terminal back and prints it.
// Before that it is logged here.

// logPanic is deferred; the panic goes on.
func (p painted) logPanic(where string) {
	if value := recover(); value != nil {
		p.panicked(where, value)
		panic(value)
	}
}

func (p painted) panicked(where string, value any) {
	p.log.Error(where+" panicked", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
}

// panickedMsg brings the panic of a command to Update. What Bubble Tea prints of
// one elsewhere is on the alternate screen, and gone with it.
type panickedMsg struct{ value any }

// guarded is cmd, and all that it may be a batch or a sequence of, with panics
// logged and brought to Update.
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
