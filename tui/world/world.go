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
	Status    api.Status
	Engine    api.EngineStatus
	Sandboxes []api.Sandbox // in the order of the list
	Listed    bool          // the list of sandboxes has arrived at least once
	// lastBatch is the number of the last batch of events with news of a sandbox
	// since the last snapshot; engineBatch is that of the engine.
	lastBatch   map[api.Ref]uint64
	engineBatch uint64
	Links       []api.Link
	Pages       map[api.Ref]*Page // of links, computed on demand
	Rates       api.Rates
	// Injections are those of this run that have not been dismissed.
	Injections map[api.Ref]*Injection
	// InjectionEnded is when an injection that this UI started ended; older news
	// of it is ignored.
	InjectionEnded map[api.Ref]time.Time
	Ports          map[api.Ref]PortList
	// Recent are the newest exchanges of each sandbox by its name, newest first.
	Recent map[string][]api.Exchange
	// Sockets are the exchanges that stay open, by the id of their link.
	Sockets map[string]map[uint64]bool
}

// recentKept is how many exchanges of a sandbox the overview can show.
const recentKept = 20

// PortList is what listens in a sandbox; Err is why that is unknown.
type PortList struct {
	Cards []api.PortCard
	Err   error
}

// New returns the world before the core has answered.
func New() World {
	return World{
		Engine:         api.EngineStatus{State: "connecting"},
		Injections:     map[api.Ref]*Injection{},
		InjectionEnded: map[api.Ref]time.Time{},
		Ports:          map[api.Ref]PortList{},
		Recent:         map[string][]api.Exchange{},
		Sockets:        map[string]map[uint64]bool{},
		lastBatch:      map[api.Ref]uint64{},
	}
}

// Sandbox returns the sandbox of that name.
func (w *World) Sandbox(ref api.Ref) (api.Sandbox, bool) {
	i := slices.IndexFunc(w.Sandboxes, func(s api.Sandbox) bool { return s.Ref == ref })
	if i < 0 {
		return api.Sandbox{}, false
	}
	return w.Sandboxes[i], true
}

// Containers counts the sandboxes that are not the machine itself.
func (w *World) Containers() int {
	n := 0
	for i := range w.Sandboxes {
		if !w.Sandboxes[i].IsHost() {
			n++
		}
	}
	return n
}

// sortSandboxes puts single containers first, then compose projects, then the machine.
func (w *World) sortSandboxes() {
	slices.SortFunc(w.Sandboxes, func(a, b api.Sandbox) int {
		if a.IsHost() != b.IsHost() {
			if a.IsHost() {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(a.Project, b.Project),
			strings.Compare(a.Name, b.Name), strings.Compare(a.Engine, b.Engine))
	})
}

// Change is what a batch of events changed that the root model acts on.
type Change struct {
	Visible   bool // something on the screen may look different
	Exchanges bool
	// UnknownLink is true if a new link came without its URL.
	UnknownLink bool
	EngineLost  bool
	EngineBack  bool
	NewPorts    []api.PortCard
}

// ApplyList applies a snapshot of the sandboxes, except for those that a batch of
// events has updated since it was requested.
func (w *World) ApplyList(list []api.Sandbox, after uint64) {
	maps.DeleteFunc(w.lastBatch, func(_ api.Ref, n uint64) bool { return n <= after })
	newer := func(s api.Sandbox) bool { return w.lastBatch[s.Ref] > 0 }
	known := slices.DeleteFunc(slices.Clone(w.Sandboxes), func(s api.Sandbox) bool { return !newer(s) })
	w.Sandboxes, w.Listed, w.Pages = slices.Concat(known, slices.DeleteFunc(list, newer)), true, nil
	w.sortSandboxes()
	w.forgetUnlisted()
}

// ApplyEngine applies the engine's state after that many batches of events, unless
// a later batch has updated it.
func (w *World) ApplyEngine(engine api.EngineStatus, after uint64) {
	if w.engineBatch <= after {
		w.Engine = engine
	}
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
			w.applyInjection(*e.Injection, e.Time)
		case e.Kind == api.EventRemoved && e.Sandbox != nil:
			c.Visible, w.Pages = true, nil
			ref := e.Sandbox.Ref
			w.Sandboxes = slices.DeleteFunc(w.Sandboxes, func(s api.Sandbox) bool { return s.Ref == ref })
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
			if w.applyPort(*e.Port) {
				c.Visible = true
				c.NewPorts = append(c.NewPorts, *e.Port)
			}
		case e.Engine != nil:
			c.Visible = true
			c.EngineLost = c.EngineLost || w.Engine.State == "connected" && e.Engine.State == "lost"
			c.EngineBack = c.EngineBack || w.Engine.State == "lost" && e.Engine.State == "connected"
			w.Engine, w.engineBatch = *e.Engine, number
		}
	}
	return c
}

// Unlisted reports whether a sandbox of that name is known not to exist: requests
// can have any name, and events may be late.
func (w *World) Unlisted(name string) bool {
	return w.Listed && !slices.ContainsFunc(w.Sandboxes, func(s api.Sandbox) bool { return s.String() == name })
}

// forgetUnlisted drops the state of sandboxes that no longer exist.
func (w *World) forgetUnlisted() {
	if !w.Listed {
		return
	}
	there := make(map[string]bool, len(w.Sandboxes))
	for i := range w.Sandboxes {
		there[w.Sandboxes[i].String()] = true
	}
	maps.DeleteFunc(w.Ports, func(ref api.Ref, _ PortList) bool { return !there[ref.String()] })
	maps.DeleteFunc(w.Injections, func(ref api.Ref, _ *Injection) bool { return !there[ref.String()] })
	maps.DeleteFunc(w.InjectionEnded, func(ref api.Ref, _ time.Time) bool { return !there[ref.String()] })
	maps.DeleteFunc(w.Recent, func(name string, _ []api.Exchange) bool { return !there[name] })
	for i := range w.Links {
		if l := &w.Links[i]; !there[cmp.Or(l.SandboxName, l.Sandbox.String())] {
			delete(w.Sockets, l.ID)
		}
	}
}

func (w *World) applySandbox(s api.Sandbox) {
	w.Pages = nil
	i := slices.IndexFunc(w.Sandboxes, func(o api.Sandbox) bool { return o.Ref == s.Ref })
	if i >= 0 {
		moved := w.Sandboxes[i].Project != s.Project
		w.Sandboxes[i] = s
		if !moved {
			return
		}
	} else {
		w.Sandboxes = append(w.Sandboxes, s)
	}
	w.sortSandboxes()
}

// ApplyLink updates a known link and keeps its URL, as events may omit the token.
// It reports whether the link was known.
func (w *World) ApplyLink(l api.Link) bool {
	w.Pages = nil
	i := slices.IndexFunc(w.Links, func(o api.Link) bool { return o.ID == l.ID })
	if i < 0 {
		if l.Token != "" && l.URL != "" {
			w.Links = append(w.Links, l)
			return true
		}
		return l.State != "active"
	}
	if known := w.Links[i]; l.Token == "" {
		l.Token, l.URL, l.HostURL, l.Sandbox = known.Token, known.URL, known.HostURL, known.Sandbox
	}
	w.Links[i] = l
	return true
}

// ApplyExchange applies an update of one exchange.
func (w *World) ApplyExchange(x api.Exchange) {
	w.applySocket(x)
	list := w.Recent[x.Sandbox]
	if list == nil && w.Unlisted(x.Sandbox) {
		return
	}
	if i := slices.IndexFunc(list, func(o api.Exchange) bool { return o.ID == x.ID }); i >= 0 {
		list[i] = x
		return
	}
	if len(list) == recentKept {
		if x.ID < list[recentKept-1].ID {
			return
		}
		list = list[:recentKept-1]
	}
	i, _ := slices.BinarySearchFunc(list, x, func(a, b api.Exchange) int { return cmp.Compare(b.ID, a.ID) })
	w.Recent[x.Sandbox] = slices.Insert(list, i, x)
}

// ForBrowser reports whether a browser can show what answers at a port.
func ForBrowser(c api.PortCard) bool {
	return c.Warning == "" && (c.Service == "http" || c.Service == "https" || c.Service == "vnc")
}

// card returns the card of a port, if it is known.
func (w *World) card(ref api.Ref, port int) (api.PortCard, bool) {
	cards := w.Ports[ref].Cards
	if i := slices.IndexFunc(cards, func(c api.PortCard) bool { return c.Port.Port == port }); i >= 0 {
		return cards[i], true
	}
	return api.PortCard{}, false
}

// applyPort adds a port that began to listen; it reports whether it is new.
func (w *World) applyPort(card api.PortCard) bool {
	w.Pages = nil
	known, listed := w.Ports[card.Sandbox]
	if _, there := w.card(card.Sandbox, card.Port.Port); there {
		return false // the list had it already
	}
	if listed && known.Err == nil {
		known.Cards = append(slices.Clone(known.Cards), card)
		slices.SortFunc(known.Cards, func(a, b api.PortCard) int { return cmp.Compare(a.Port.Port, b.Port.Port) })
		w.Ports[card.Sandbox] = known
	}
	return true
}

// applySocket counts what stays open: WebSockets and event streams.
func (w *World) applySocket(x api.Exchange) {
	if x.LinkID == "" {
		return
	}
	if x.Live && (x.Protocol == "websocket" || x.Protocol == "event-stream") {
		if w.Sockets[x.LinkID] == nil {
			w.Sockets[x.LinkID] = map[uint64]bool{}
		}
		w.Sockets[x.LinkID][x.ID] = true
		return
	}
	delete(w.Sockets[x.LinkID], x.ID)
	if len(w.Sockets[x.LinkID]) == 0 {
		delete(w.Sockets, x.LinkID)
	}
}

// ApplySockets restarts the count with all live exchanges, except those that an
// event has reported as ended in the meantime.
func (w *World) ApplySockets(live []api.Exchange) {
	clear(w.Sockets)
	for _, x := range live {
		over := slices.ContainsFunc(w.Recent[x.Sandbox], func(o api.Exchange) bool { return o.ID == x.ID && !o.Live })
		if !over {
			w.applySocket(x)
		}
	}
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
