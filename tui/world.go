package tui

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"daemon-proxy/core/api"
)

// world is what the UI knows of the core: the last snapshots and the events
// since. Only the root model changes it; panes read it.
type world struct {
	status    api.Status
	engine    api.EngineStatus
	sandboxes []api.Sandbox // in the order of the list
	listed    bool          // sandboxes has been answered at least once
	// told is the number of the batch of events that told last of a sandbox, since
	// the last snapshot; engineTold is that of the engine.
	told       map[api.Ref]uint64
	engineTold uint64
	links      []api.Link
	pages      map[api.Ref]*linkPage // of links, made when they are looked at
	rates      api.Rates
	// injections are those of this run that are not dismissed.
	injections map[api.Ref]*injection
	// over is when an injection of this UI ended; news from before comes too late.
	over  map[api.Ref]time.Time
	ports map[api.Ref]portList
	// recent are the newest exchanges of each sandbox by its name, newest first.
	recent map[string][]api.Exchange
	// sockets are the exchanges that stay open, by the id of their link.
	sockets map[string]map[uint64]bool
}

// recentKept is how many exchanges of a sandbox the overview can show.
const recentKept = 20

// portList is what listens in a sandbox; err is why that is not known.
type portList struct {
	cards []api.PortCard
	err   error
}

// injection is the news of one injection.
type injection struct {
	steps []api.Injection // the last news of each step, in order
	// copying is when the first byte was copied; the speed counts from there.
	copying, news time.Time
	finished      bool
	problem       *api.Problem
}

func newWorld() world {
	return world{
		injections: map[api.Ref]*injection{}, over: map[api.Ref]time.Time{}, ports: map[api.Ref]portList{}, recent: map[string][]api.Exchange{},
		sockets: map[string]map[uint64]bool{}, told: map[api.Ref]uint64{},
		engine: api.EngineStatus{State: "connecting"},
	}
}

// sandbox is the one of that name.
func (w *world) sandbox(ref api.Ref) (api.Sandbox, bool) {
	i := slices.IndexFunc(w.sandboxes, func(s api.Sandbox) bool { return s.Ref == ref })
	if i < 0 {
		return api.Sandbox{}, false
	}
	return w.sandboxes[i], true
}

// containers is how many sandboxes are not the machine itself.
func (w *world) containers() int {
	n := 0
	for i := range w.sandboxes {
		if !w.sandboxes[i].IsHost() {
			n++
		}
	}
	return n
}

// linksOf are the links of a sandbox that work, newest first.
func (w *world) linksOf(ref api.Ref, now time.Time) []api.Link {
	p := w.page(ref, now)
	return p.links[:p.own:p.own]
}

// linkIsOf compares by name too, for a link that crossed JSON has no Ref.
func (w *world) linkIsOf(l api.Link, ref api.Ref) bool {
	if l.Sandbox != (api.Ref{}) {
		return l.Sandbox == ref
	}
	return l.SandboxName == ref.String()
}

func works(l api.Link, now time.Time) bool {
	return l.State == "active" && (l.ExpiresAt == nil || l.ExpiresAt.After(now))
}

// activeLinks is how many links to this machine and to containers of the engine
// work; a link that crossed JSON does not say of which engine it is.
func (w *world) activeLinks(now time.Time) int {
	n := 0
	for i := range w.links {
		ref := w.links[i].Sandbox
		if works(w.links[i], now) && (ref == (api.Ref{}) || ref.IsHost() || ref.Engine == w.engine.Name) {
			n++
		}
	}
	return n
}

// underWay says whether an injection runs.
func (w *world) underWay(ref api.Ref) bool {
	in := w.injections[ref]
	return in != nil && !in.finished
}

// injecting are the sandboxes with an injection under way.
func (w *world) injecting() int {
	n := 0
	for _, in := range w.injections {
		if !in.finished {
			n++
		}
	}
	return n
}

// sortSandboxes puts single containers first, then compose projects, then the machine.
func (w *world) sortSandboxes() {
	slices.SortFunc(w.sandboxes, func(a, b api.Sandbox) int {
		if a.IsHost() != b.IsHost() {
			if a.IsHost() {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(a.Project, b.Project), strings.Compare(a.Name, b.Name), strings.Compare(a.Engine, b.Engine))
	})
}

// change is what a batch of events did that somebody has to act on.
type change struct {
	visible   bool // something that is shown may look different
	exchanges bool
	// unknownLink says that a link came of which the URL is not known.
	unknownLink bool
	engineLost  bool
	engineBack  bool
	newPorts    []api.PortCard
}

// takeList takes a snapshot of the sandboxes, but for those of which a batch of
// events told after it was asked for.
func (w *world) takeList(list []api.Sandbox, after uint64) {
	maps.DeleteFunc(w.told, func(_ api.Ref, n uint64) bool { return n <= after })
	newer := func(s api.Sandbox) bool { return w.told[s.Ref] > 0 }
	known := slices.DeleteFunc(slices.Clone(w.sandboxes), func(s api.Sandbox) bool { return !newer(s) })
	w.sandboxes, w.listed, w.pages = slices.Concat(known, slices.DeleteFunc(list, newer)), true, nil
	w.sortSandboxes()
	w.forgetUnlisted()
}

// take takes the batch of events of that number.
func (w *world) take(events []api.Event, number uint64) change {
	var c change
	for _, e := range events {
		if e.Sandbox != nil {
			w.told[e.Sandbox.Ref] = number
		}
		switch {
		case e.Injection != nil:
			c.visible = true
			w.takeInjection(*e.Injection, e.Time)
		case e.Kind == api.EventRemoved && e.Sandbox != nil:
			c.visible, w.pages = true, nil
			ref := e.Sandbox.Ref
			w.sandboxes = slices.DeleteFunc(w.sandboxes, func(s api.Sandbox) bool { return s.Ref == ref })
			w.forgetUnlisted()
		case e.Sandbox != nil:
			c.visible = true
			w.takeSandbox(*e.Sandbox)
		case e.Link != nil:
			c.visible = true
			c.unknownLink = !w.takeLink(*e.Link) || c.unknownLink
		case e.Exchange != nil:
			c.visible, c.exchanges = true, true
			w.takeExchange(*e.Exchange)
		case e.Port != nil:
			if w.takePort(*e.Port) {
				c.visible = true
				c.newPorts = append(c.newPorts, *e.Port)
			}
		case e.Engine != nil:
			c.visible = true
			c.engineLost = c.engineLost || w.engine.State == "connected" && e.Engine.State == "lost"
			c.engineBack = c.engineBack || w.engine.State == "lost" && e.Engine.State == "connected"
			w.engine, w.engineTold = *e.Engine, number
		}
	}
	return c
}

// unlisted says whether a sandbox of that name is known not to be there:
// requests can name any, and news may come late.
func (w *world) unlisted(name string) bool {
	return w.listed && !slices.ContainsFunc(w.sandboxes, func(s api.Sandbox) bool { return s.String() == name })
}

// forgetUnlisted drops what was known of sandboxes that are not there any more.
func (w *world) forgetUnlisted() {
	if !w.listed {
		return
	}
	there := make(map[string]bool, len(w.sandboxes))
	for i := range w.sandboxes {
		there[w.sandboxes[i].String()] = true
	}
	maps.DeleteFunc(w.ports, func(ref api.Ref, _ portList) bool { return !there[ref.String()] })
	maps.DeleteFunc(w.injections, func(ref api.Ref, _ *injection) bool { return !there[ref.String()] })
	maps.DeleteFunc(w.over, func(ref api.Ref, _ time.Time) bool { return !there[ref.String()] })
	maps.DeleteFunc(w.recent, func(name string, _ []api.Exchange) bool { return !there[name] })
	for i := range w.links {
		if l := &w.links[i]; !there[cmp.Or(l.SandboxName, l.Sandbox.String())] {
			delete(w.sockets, l.ID)
		}
	}
}

func (w *world) takeSandbox(s api.Sandbox) {
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

func (w *world) takeInjection(n api.Injection, at time.Time) {
	if !at.After(w.over[n.Sandbox]) || w.unlisted(n.Sandbox.String()) {
		return
	}
	in := w.injections[n.Sandbox]
	if in == nil || in.finished {
		in = &injection{}
		w.injections[n.Sandbox] = in
	}
	if i := slices.IndexFunc(in.steps, func(s api.Injection) bool { return s.Step == n.Step }); i >= 0 {
		in.steps[i] = n
	} else {
		in.steps = append(in.steps, n)
	}
	if n.Step == api.StepCopy && in.copying.IsZero() {
		in.copying = at
	}
	in.news, in.finished, in.problem = at, n.Finished, n.Error
	if n.Finished && (n.Error == nil || n.Error.Code == api.CodeCancelled) {
		delete(w.injections, n.Sandbox)
	}
	// n.Daemon is not taken: the sandbox's own events tell it, and may be newer.
}

// takeLink brings a known link up to date, its URL kept: events may leave the
// token out. It says whether the link was known.
func (w *world) takeLink(l api.Link) bool {
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

func (w *world) takeExchange(x api.Exchange) {
	w.takeSocket(x)
	list := w.recent[x.Sandbox]
	if list == nil && w.unlisted(x.Sandbox) {
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
	w.recent[x.Sandbox] = slices.Insert(list, i, x)
}
