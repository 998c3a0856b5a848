package tui

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"

	"daemon-proxy/tui/system"
)

// Options configure Run. The zero value is a UI on standard input and output
// that saves nothing.
type Options struct {
	In, Out *os.File // nil: standard input and output
	// Name is this screen's name in the core; empty: user, machine and terminal.
	Name string
	// Undo cancels all injections, whoever started them, and returns when nothing of
	// them is left, because the core ends with the UI. Nil: the core goes on.
	Undo func(ctx context.Context) error
	// Attached describes a core that runs without the UI; nil: it is the UI's own.
	Attached *Attached
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

// Attached describes a core that runs without the UI.
type Attached struct {
	// Name is what people call it: "dev-box (ssh)". Empty: its URL says it.
	Name string
	// URL is where this machine has the core's previews; empty: where the core says.
	URL string
	// Ends is true if the core was started for this session, and ends with it.
	Ends bool
	// Carries is true if the previews reach this machine through this program.
	Carries bool
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

// machine names the machine that the core runs on.
func (o Options) machine() string {
	a := o.Attached
	if a == nil {
		return "this machine"
	}
	if a.Name != "" {
		return a.Name
	}
	at, err := url.Parse(a.URL)
	if err != nil || at.Hostname() == "localhost" || net.ParseIP(at.Hostname()).IsLoopback() {
		return "this machine"
	}
	return at.Hostname()
}
