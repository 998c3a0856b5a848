package tui

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/system"
)

// Backend is what the UI needs from a core. It is never called from Update or View.
type Backend interface {
	api.Service
	// UndoInjections cancels all injections, whoever started them, and returns
	// when nothing of them is left. No other begins: it is for the end.
	UndoInjections(ctx context.Context) error
}

// Options configure Run. The zero value is a UI on standard input and output
// that saves nothing.
type Options struct {
	In, Out *os.File // nil: standard input and output
	// Name is this screen's name in the core; empty: user, machine and terminal.
	Name string
	// Theme is one of theme.Names; ASCII draws without Unicode.
	Theme string
	ASCII bool
	// ReadOnly excludes all actions that change something.
	ReadOnly bool
	NoMouse  bool
	// Keys overrides the keys of actions by name: "i, ctrl+n", or "none".
	Keys map[string]string
	// StateFile stores filter, sandbox and tab between runs; empty: nothing is stored.
	StateFile string
	Logger    *slog.Logger // nil: nothing is logged
	Now       func() time.Time
	// Browse opens a URL, Copy fills the clipboards; nil: those of package system.
	Browse func(url string) error
	Copy   func(s string) error
}

func (o Options) withDefaults() Options {
	o.In, o.Out = cmp.Or(o.In, os.Stdin), cmp.Or(o.Out, os.Stdout)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Name == "" {
		o.Name = system.ScreenName(o.In)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
