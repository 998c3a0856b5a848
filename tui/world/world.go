// Package world is the UI's copy of the core's state: the last snapshots and the
// events since. The root model applies what the core reports; panes only read.
package world

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"daemon-proxy/core/api"
)

// World is the copy. It has no lock: only Bubble Tea's loop uses it.
type World struct {
	status    api.Status
	readOnly  bool          // whatever the core allows
	engines                 // those that are open
	sandboxes []api.Sandbox // in the order of the list
	listed    bool          // the list of sandboxes has arrived at least once
	// lastBatch is the number of the last batch of events with news of a sandbox
	// since the last snapshot.
	lastBatch map[api.Ref]uint64
	links     []api.Link
	pages     map[api.Ref]*Page // of links, computed on demand
	rates     api.Rates
	injections
	exchanges
	ports
}

// Page has the links of a sandbox for the previews: working ones, newest first,
// then those that have ended, the latest first. The page of the machine also has
// the links of containers that are not listed, as these have no page. A page is
// cached and does not change.
type Page struct {
	Links    []api.Link
	Own      int       // how many links of the sandbox work; they are first
	Strayed  int       // how many of the following are of containers that are not listed
	from, to time.Time // when it is valid; a link expires at the end
}

// New returns the world before the core has answered.
func New() *World {
	return &World{
		engines:    engines{batch: map[string]uint64{}},
		lastBatch:  map[api.Ref]uint64{},
		injections: injections{map[api.Ref]*Injection{}, map[api.Ref]time.Time{}},
		exchanges:  exchanges{map[api.Ref][]api.Exchange{}, map[string]map[uint64]bool{}},
		ports:      ports{},
	}
}

// Status returns the core's status; zero until it has arrived.
func (w *World) Status() api.Status { return w.status }

// SetStatus applies the core's status.
func (w *World) SetStatus(s api.Status) { w.status, w.pages = s, nil }

// ReadOnly reports whether the core, or this UI, excludes what changes something.
func (w *World) ReadOnly() bool { return w.readOnly || w.status.ReadOnly }

// SetReadOnly excludes what changes something, whatever the core allows.
func (w *World) SetReadOnly() { w.readOnly = true }

// OtherScreens are the names of the screens at the core, except for one.
func (w *World) OtherScreens(except string) (names []string) {
	for _, s := range w.status.Screens {
		if s.ID != except {
			names = append(names, s.Name)
		}
	}
	return names
}

// Rates returns the traffic.
func (w *World) Rates() api.Rates { return w.rates }

// SetRates applies the traffic and reports whether it has changed.
func (w *World) SetRates(r api.Rates) (changed bool) {
	changed = w.rates != r
	w.rates = r
	return changed
}

// Sandboxes returns the sandboxes in the order of the list. They must not be changed.
func (w *World) Sandboxes() []api.Sandbox { return w.sandboxes }

// Listed reports whether the list of sandboxes has arrived at least once.
func (w *World) Listed() bool { return w.listed }

// Sandbox returns the sandbox of that name.
func (w *World) Sandbox(ref api.Ref) (api.Sandbox, bool) {
	i := slices.IndexFunc(w.sandboxes, func(s api.Sandbox) bool { return s.Ref == ref })
	if i < 0 {
		return api.Sandbox{}, false
	}
	return w.sandboxes[i], true
}

// Containers counts the sandboxes that are not the machine itself.
func (w *World) Containers() int {
	n := 0
	for i := range w.sandboxes {
		if !w.sandboxes[i].IsHost() {
			n++
		}
	}
	return n
}

// Ambiguous reports whether another engine has a sandbox of the name of ref.
func (w *World) Ambiguous(ref api.Ref) bool {
	return ref.Engine != "" && w.Several() && slices.ContainsFunc(w.sandboxes, func(s api.Sandbox) bool {
		return s.Name == ref.Name && s.Engine != "" && s.Engine != ref.Engine
	})
}

// sortSandboxes sorts by engine; of an engine single containers come first, then
// compose projects. The machine is last.
func (w *World) sortSandboxes() {
	slices.SortFunc(w.sandboxes, func(a, b api.Sandbox) int {
		if a.IsHost() != b.IsHost() {
			if a.IsHost() {
				return 1
			}
			return -1
		}
		return cmp.Or(w.compareEngines(a.Engine, b.Engine), strings.Compare(a.Project, b.Project),
			strings.Compare(a.Name, b.Name))
	})
}

// Change is what a batch of events changed that the root model acts on.
type Change struct {
	Visible   bool // something on the screen may look different
	Exchanges bool
	// UnknownLink is true if a new link came without its URL.
	UnknownLink bool
	EngineLost  bool
	// EngineBack are the engines that answer again.
	EngineBack []string
	NewPorts   []api.PortCard
}

// ApplyList applies a snapshot of the sandboxes, except for those that a batch of
// events has updated since it was requested.
func (w *World) ApplyList(list []api.Sandbox, after uint64) {
	maps.DeleteFunc(w.lastBatch, func(_ api.Ref, n uint64) bool { return n <= after })
	newer := func(s api.Sandbox) bool { return w.lastBatch[s.Ref] > 0 }
	known := slices.DeleteFunc(slices.Clone(w.sandboxes), func(s api.Sandbox) bool { return !newer(s) })
	w.sandboxes, w.listed, w.pages = slices.Concat(known, slices.DeleteFunc(list, newer)), true, nil
	w.sortSandboxes()
	w.forgetUnlisted()
}

// ApplyEngines applies a snapshot of the engines after that many batches of events,
// except for those that a later batch has updated.
func (w *World) ApplyEngines(list []api.EngineStatus, after uint64) {
	w.applyStates(list, after)
	w.sortSandboxes()
}

// Apply applies the batch of events of that number.
func (w *World) Apply(events []api.Event, number uint64) Change {
	var c Change
	for _, e := range events {
		if e.Sandbox != nil {
			w.lastBatch[e.Sandbox.Ref] = number
		}
		switch {
		case e.Injection != nil:
			c.Visible = true
			if !w.Unlisted(e.Injection.Sandbox) {
				w.applyInjection(*e.Injection, e.Time)
			}
		case e.Kind == api.EventRemoved && e.Sandbox != nil:
			c.Visible, w.pages = true, nil
			ref := e.Sandbox.Ref
			w.sandboxes = slices.DeleteFunc(w.sandboxes, func(s api.Sandbox) bool { return s.Ref == ref })
			w.forgetUnlisted()
		case e.Sandbox != nil:
			c.Visible = true
			w.applySandbox(*e.Sandbox)
		case e.Link != nil:
			c.Visible = true
			c.UnknownLink = !w.ApplyLink(*e.Link) || c.UnknownLink
		case e.Exchange != nil:
			c.Visible, c.Exchanges = true, true
			w.ApplyExchange(*e.Exchange)
		case e.Port != nil:
			w.pages = nil
			if w.addPort(*e.Port) {
				c.Visible = true
				c.NewPorts = append(c.NewPorts, *e.Port)
			}
		case e.Kind == api.EventScreens:
			c.Visible, w.status.Screens = true, e.Screens
		case e.Engine != nil:
			c.Visible = true
			before, _ := w.EngineNamed(e.Engine.Name)
			c.EngineLost = c.EngineLost || before.State == "connected" && e.Engine.State == "lost"
			if before.State == "lost" && e.Engine.State == "connected" {
				c.EngineBack = append(c.EngineBack, e.Engine.Name)
			}
			w.setState(*e.Engine, number)
			w.sortSandboxes()
		}
	}
	return c
}

// Unlisted reports whether a sandbox is known not to exist: requests can have any
// name, and events may be late.
func (w *World) Unlisted(ref api.Ref) bool {
	return w.listed && !slices.ContainsFunc(w.sandboxes, func(s api.Sandbox) bool { return ref.Means(s.Ref) })
}

// forgetUnlisted drops the state of sandboxes that no longer exist.
func (w *World) forgetUnlisted() {
	if !w.listed {
		return
	}
	there := make(map[api.Ref]bool, 2*len(w.sandboxes))
	for i := range w.sandboxes {
		there[w.sandboxes[i].Ref], there[api.Ref{Name: w.sandboxes[i].String()}] = true, true
	}
	maps.DeleteFunc(w.ports, func(ref api.Ref, _ PortList) bool { return !there[ref] })
	maps.DeleteFunc(w.byRef, func(ref api.Ref, _ *Injection) bool { return !there[ref] })
	maps.DeleteFunc(w.ended, func(ref api.Ref, _ time.Time) bool { return !there[ref] })
	maps.DeleteFunc(w.recent, func(ref api.Ref, _ []api.Exchange) bool { return !there[ref] })
	for i := range w.links {
		if l := &w.links[i]; !there[w.refOf(*l)] {
			delete(w.sockets, l.ID)
		}
	}
}

func (w *World) applySandbox(s api.Sandbox) {
	w.pages = nil
	i := slices.IndexFunc(w.sandboxes, func(o api.Sandbox) bool { return o.Ref == s.Ref })
	if i >= 0 {
		moved := w.sandboxes[i].Project != s.Project
		w.sandboxes[i] = s
		if !moved {
			return
		}
	} else {
		w.sandboxes = append(w.sandboxes, s)
	}
	w.sortSandboxes()
}

// SetLinks applies a snapshot of the links.
func (w *World) SetLinks(list []api.Link) { w.links, w.pages = list, nil }

// ApplyLink updates a known link and keeps its URL, as events may omit the token.
// It reports whether the link was known.
func (w *World) ApplyLink(l api.Link) bool {
	w.pages = nil
	i := slices.IndexFunc(w.links, func(o api.Link) bool { return o.ID == l.ID })
	if i < 0 {
		if l.Token != "" && l.URL != "" {
			w.links = append(w.links, l)
			return true
		}
		return l.State != "active"
	}
	if known := w.links[i]; l.Token == "" {
		l.Token, l.URL, l.HostURL, l.Sandbox = known.Token, known.URL, known.HostURL, known.Sandbox
	}
	w.links[i] = l
	return true
}

// ApplyExchange applies an update of one exchange.
func (w *World) ApplyExchange(x api.Exchange) {
	w.applySocket(x)
	if ref := exchangeRef(x, w.sandboxes); w.recent[ref] != nil || !w.Unlisted(ref) {
		w.addRecent(ref, x)
	}
}

// EndInjection notes the end of an injection that this UI started: older news of it
// is ignored.
func (w *World) EndInjection(ref api.Ref, at time.Time) {
	if !w.Unlisted(ref) {
		w.ended[ref] = at
	}
}

// SetPorts applies a list of ports. It reports whether the screen may change, and
// returns the ports that have opened since the previous list.
func (w *World) SetPorts(ref api.Ref, now PortList) (changed bool, opened []api.PortCard) {
	if w.ports[ref].same(now) {
		return false, nil
	}
	w.pages = nil // they show what answers on a link's port
	return true, w.replace(ref, now)
}

// HasDaemon reports whether a daemon answers, or should.
func HasDaemon(s api.Sandbox) bool {
	return s.Daemon.State == api.DaemonHealthy || s.Daemon.State == api.DaemonDown
}

// Injectable reports whether an injection can be started.
func Injectable(s api.Sandbox) bool {
	switch s.Daemon.State {
	case api.DaemonHealthy, api.DaemonInjecting, api.DaemonEjecting:
		return false
	}
	return s.Container == api.ContainerRunning
}
