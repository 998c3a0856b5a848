// Package sandbox shows sandboxes: the list of all, and the overview of one.
package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// List is the pane on the left. The selected sandbox stays selected when the list
// changes.
type List struct {
	firstSteps
	Alone bool // shown without the details beside it

	width, height int
	Selected      api.Ref // zero while the list is empty
	beforeFilter  api.Ref // was selected when the filter hid every sandbox
	byUser        bool    // selected by the user, in this run or the last one
	pending       api.Ref // to be selected as soon as it is in the list
	lost          api.Ref // disappeared while selected; reselected if it returns before the next key
	rows          []listRow
	hidden        int // number of sandboxes that the filter hides
	// The widths of the widest row; names get the rest.
	detailWidth, latencyWidth int
	// RowWidth is what the widest row so far needs. It never shrinks, so that the
	// panes do not move back and forth.
	RowWidth int
	cursor   draw.Cursor
	filter   draw.FilterLine
}

// listRow is a sandbox, by its index in the world, or the heading of an engine or a
// project; an empty heading ends the last group.
type listRow struct {
	sandbox int // -1 for a heading
	heading string
	engine  bool // the heading is an engine's name
}

// NewList returns the list; selected is selected once it is listed.
func NewList(env pane.Env, selected api.Ref, filter string) *List {
	line := draw.NewFilterLine()
	line.SetValue(filter)
	return &List{firstSteps: firstSteps{env}, pending: selected, filter: line}
}

// Show implements pane.Pane.
func (p *List) Show(_ api.Ref, width, height int, _ bool) tea.Cmd {
	p.width, p.height = width, height
	p.cursor.Resize(len(p.rows), p.listHeight())
	return nil
}

func (p *List) listHeight() int { return p.height - 1 }

// Typing implements pane.Typist.
func (p *List) Typing() bool { return p.filter.Typing }

// HandleKey implements pane.Typist.
func (p *List) HandleKey(key tea.KeyMsg) tea.Cmd {
	if to, ok := draw.Motions[key.String()]; ok && to <= draw.Down {
		return p.Move(to)
	}
	p.filter.Handle(key)
	p.Refresh()
	return nil
}

// Refresh recreates the rows after a change of the world or the filter.
func (p *List) Refresh() {
	p.applyPending()
	p.rows = p.rows[:0]
	p.detailWidth, p.latencyWidth, p.hidden = 0, 0, 0
	group := p.groups()
	nameWidth := 0
	for i := range p.World.Sandboxes() {
		s := &p.World.Sandboxes()[i]
		if !p.matches(s) {
			p.hidden++
			continue
		}
		p.rows = append(p.rows, group(s)...)
		p.rows = append(p.rows, listRow{sandbox: i})
		_, _, state, more := p.state(*s)
		if more == "" {
			more = state[min(len(state), stateWidth):] // it reaches over
		}
		p.detailWidth = max(p.detailWidth, min(len(more), moreMost)+1)
		p.latencyWidth = max(p.latencyWidth, len(shownLatency(*s))+1)
		nameWidth = max(nameWidth, text.Width(p.shownName(*s)))
	}
	p.rows = append(p.rows, group(nil)...)
	p.RowWidth = max(p.RowWidth, nameWidth+p.besideName())
	p.cursor.Resize(len(p.rows), p.listHeight())
	p.follow()
}

// groups returns a function that returns the headings before the next sandbox, and
// those after the last one, for nil. If several engines are open, each has one, those
// without a container, too; a filter hides theirs.
func (p *List) groups() func(*api.Sandbox) []listRow {
	engines, project, next := p.World.Engines(), "", 0
	if !p.World.Several() {
		engines = nil
	}
	heads := func(until int) (rows []listRow) {
		for ; next < until; next++ {
			if p.filter.Value() == "" || next == until-1 {
				rows = append(rows, listRow{sandbox: -1, heading: engines[next].Name, engine: true})
			}
			project = ""
		}
		return rows
	}
	return func(s *api.Sandbox) (rows []listRow) {
		last := s == nil || s.IsHost()
		switch {
		case last && p.filter.Value() == "":
			rows = heads(len(engines))
		case !last:
			rows = heads(1 + slices.IndexFunc(engines, func(e api.EngineStatus) bool { return e.Name == s.Engine }))
		}
		switch {
		case s == nil:
		case s.IsHost() && next > 0: // it is on no engine
			rows = append(rows, listRow{sandbox: -1})
		case s.Project != project: // the machine is last and in no project: separate it
			project = s.Project
			rows = append(rows, listRow{sandbox: -1, heading: project})
		}
		return rows
	}
}

func (p *List) matches(s *api.Sandbox) bool {
	want := strings.ToLower(strings.TrimSpace(p.filter.Value()))
	name := s.String()
	if p.World.Several() {
		name = s.Long()
	}
	return want == "" || strings.Contains(strings.ToLower(name+" "+s.Project+" "+s.Image+" "+s.Container+" "+
		string(s.Daemon.State)), want)
}

// Select selects ref, even if the filter hides it; if it is not listed yet, it is
// selected as soon as it is, unless the user moves the cursor before.
func (p *List) Select(ref api.Ref) { p.pending = ref; p.Refresh() }

func (p *List) applyPending() {
	if _, back := p.World.Sandbox(p.lost); back {
		p.Selected, p.lost = p.lost, api.Ref{}
	}
	s, there := p.World.Sandbox(p.pending)
	if !there {
		return
	}
	p.byUser, p.Selected, p.pending = true, p.pending, api.Ref{}
	if !p.matches(&s) {
		p.filter.SetValue("")
	}
}

// follow puts the cursor on the selected sandbox; if it is gone, the one in its
// place is selected. Until the user selects one, that is the default sandbox, or a
// container rather than the machine itself: containers are found later.
func (p *List) follow() {
	p.Selected, p.beforeFilter = cmp.Or(p.Selected, p.beforeFilter), api.Ref{}
	at := func(ok func(s *api.Sandbox) bool) int {
		return slices.IndexFunc(p.rows,
			func(r listRow) bool { return r.sandbox >= 0 && ok(&p.World.Sandboxes()[r.sandbox]) })
	}
	i := at(func(s *api.Sandbox) bool { return s.Ref == p.Selected })
	if !p.byUser {
		if byDefault := at(func(s *api.Sandbox) bool { return s.Default && !s.IsHost() }); byDefault >= 0 {
			i = byDefault
		} else if first := at(func(s *api.Sandbox) bool { return !s.IsHost() }); first >= 0 &&
			(i < 0 || p.Selected.IsHost()) {
			i = first
		}
	}
	if i >= 0 {
		p.cursor.Put(i)
	} else if _, there := p.World.Sandbox(p.Selected); p.byUser && !there {
		p.lost = p.Selected
	}
	if len(p.rows) == 0 {
		p.Selected, p.beforeFilter = api.Ref{}, p.Selected
	}
	p.choose(1)
}

// choose selects the sandbox at the cursor, or the next one in a direction.
func (p *List) choose(by int) {
	for _, by := range []int{by, -by} {
		for i := p.cursor.At; i >= 0 && i < len(p.rows); i += by {
			if r := p.rows[i]; r.sandbox >= 0 {
				p.cursor.Put(i)
				p.Selected = p.World.Sandboxes()[r.sandbox].Ref
				return
			}
		}
	}
}

// Confirm makes the selected sandbox the user's choice, as the user works with it,
// so that no new one replaces it. It does not while the engine is connecting, as
// the machine is then selected only by default.
func (p *List) Confirm() {
	if p.Selected != (api.Ref{}) && p.World.Engine().State != "connecting" {
		p.byUser, p.pending = true, api.Ref{}
	}
}

// StartFilter starts typing a filter.
func (p *List) StartFilter() tea.Cmd { p.filter.Start(); return nil }

// ClearFilter shows all sandboxes, if a filter hides some.
func (p *List) ClearFilter() bool {
	if p.filter.Value() == "" {
		return false
	}
	p.filter.SetValue("")
	p.Refresh()
	return true
}

// ForgetLost forgets the lost sandbox: if it returns, it is not selected again.
func (p *List) ForgetLost() { p.lost = api.Ref{} }

// Saved returns what is saved for the next run.
func (p *List) Saved() (ref api.Ref, filter string) {
	return cmp.Or(p.pending, p.Selected, p.beforeFilter), p.filter.Value()
}

// Move implements pane.Pane.
func (p *List) Move(to draw.Motion) tea.Cmd {
	p.byUser, p.pending = true, api.Ref{}
	p.cursor.Move(to)
	if to == draw.Up || to == draw.PageUp || to == draw.ToBottom {
		p.choose(-1)
		return nil
	}
	p.choose(1)
	return nil
}

// Click implements pane.Clickable.
func (p *List) Click(_, y int) tea.Cmd {
	if y >= p.listHeight() {
		return p.StartFilter()
	}
	if i := p.cursor.Top + y; i < len(p.rows) && p.rows[i].sandbox >= 0 {
		p.byUser, p.pending = true, api.Ref{}
		p.cursor.Put(i)
		p.choose(1)
	}
	return nil
}

// Foot implements pane.Footed.
func (p *List) Foot() string {
	if len(p.rows) <= p.listHeight() {
		return ""
	}
	at, n := 0, 0 // headings are not counted
	for i, r := range p.rows {
		if r.sandbox >= 0 {
			n++
			if i <= p.cursor.At {
				at++
			}
		}
	}
	return p.Ink.Dim.Paint(fmt.Sprintf("%d of %d", at, n))
}

// View implements pane.Pane.
func (p *List) View(focused bool) []string {
	out := make([]string, 0, p.height)
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		r := p.rows[i]
		if r.sandbox < 0 {
			out = append(out, p.heading(r))
			continue
		}
		s := p.World.Sandboxes()[r.sandbox]
		row := p.Row(p.row(s), p.width, i == p.cursor.At, focused && !p.filter.Typing)
		if p.World.Lost(s.Ref) && i != p.cursor.At {
			row = p.Ink.Dim.Paint(ansi.Strip(row))
		}
		out = append(out, row)
	}
	switch {
	case !p.World.Listed():
		out = append(out, p.Ink.Dim.Paint("  asking"+p.Glyph.Ellipsis))
	case len(p.rows) == 0 && p.filter.Value() != "":
		out = append(out, p.Ink.Dim.Paint("  nothing matches"))
	}
	if p.Alone {
		out = append(out, p.below()...)
	}
	out = p.Fill(out, p.width, p.listHeight())
	return append(out, p.filterLine())
}

// heading draws the name of a project, or that of an engine with its state.
func (p *List) heading(r listRow) string {
	l, name := p.Look, text.Clean(r.heading)
	if !r.engine {
		if p.World.Several() {
			name = "  " + name
		}
		return l.Ink.Dim.Paint(name)
	}
	e, _ := p.World.EngineNamed(r.heading)
	var state string
	switch e.State {
	case "connected":
		version, _, _ := strings.Cut(e.Version, "+")
		state = l.Ink.Dim.Paint(text.Clean(version))
	case "lost":
		state = l.Ink.Bad.Paint(l.Glyph.Bad+" lost") + l.Ink.Dim.Paint(format.Retry(e.RetryAt, p.Now()))
	default:
		state = l.Ink.Busy.Paint("connecting" + l.Glyph.Ellipsis)
	}
	return l.Ends(" "+l.Ink.Title.Paint(l.Cut(name, max(1, p.width-text.Width(state)-4))), state+" ", p.width)
}

// below returns the first steps, which are shown below the rows.
func (p *List) below() []string {
	lines := p.why(p.width - 2)
	if lines == nil {
		return nil
	}
	if s, ok := p.World.Sandbox(p.Selected); ok && s.Daemon.State == api.DaemonHealthy {
		lines = append(lines, p.machine(p.width-2)...)
	}
	return append([]string{""}, text.Indent(lines, " ")...)
}

func (p *List) filterLine() string {
	switch {
	case p.filter.Typing:
		return p.Ink.Key.Paint("/ ") + p.InputLine(p.filter.Model, p.width-2)
	case p.filter.Value() != "":
		return p.Ink.Key.Paint("/ ") + text.Clean(p.filter.Value()) +
			p.Ink.Dim.Paint(fmt.Sprintf("  %s hidden, esc shows all", format.Thousands(p.hidden)))
	}
	return p.Ink.Dim.Paint("/ filter")
}

// row draws one sandbox: glyph, name, state, version or progress, latency.
func (p *List) row(s api.Sandbox) string {
	l := p.Look
	glyph, ink, state, more := p.state(s)
	words := ink.Paint(l.Fit(state, stateWidth)) + l.Fit(more, p.detailWidth)
	if more == "" {
		words = ink.Paint(l.Fit(state, stateWidth+p.detailWidth))
	}
	return ink.Paint(glyph) + " " + l.Fit(p.shownName(s), max(6, p.width-p.besideName())) + " " + words +
		l.Right(shownLatency(s), p.latencyWidth)
}

func (p *List) besideName() int {
	return len("> * ") + len(" ") + stateWidth + p.detailWidth + p.latencyWidth
}

// shownName returns a sandbox's name for a row; those of a project are indented.
func (p *List) shownName(s api.Sandbox) string {
	switch {
	case s.IsHost():
		return p.Machine
	case s.Project != "":
		return " " + text.Clean(s.String())
	}
	return text.Clean(s.String())
}

// Widths of the list, in cells.
const (
	stateWidth = 9
	moreMost   = 10 // of a version or a second word
)

// shownLatency returns a sandbox's latency in whole milliseconds, or nothing.
func shownLatency(s api.Sandbox) string {
	if s.Daemon.State != api.DaemonHealthy || s.Daemon.LatencyMS <= 0 {
		return ""
	}
	return fmt.Sprintf("%.0fms", max(1, s.Daemon.LatencyMS))
}

// failedFor has the causes of a failed injection in a word.
var failedFor = map[string]string{
	api.CodeReadOnlyRoot: "read-only", api.CodeArchMismatch: "wrong arch", api.CodeBinaryMissing: "no binary",
	api.CodeNotExecutable: "no binary",
	api.CodeDynamicBinary: "no loader", api.CodeWorkDir: "no folder", api.CodePortTaken: "port taken",
	api.CodeForeignFile:  "in the way",
	api.CodeDaemonExited: "crashed", api.CodeStartTimeout: "too slow", api.CodeEngineUnreachable: "no engine",
	api.CodeUnreachable: "no address",
}

// state returns a sandbox's glyph, its ink and two words.
func (p *List) state(s api.Sandbox) (glyph string, ink theme.Ink, state, more string) {
	l := p.Look
	if p.World.Injecting(s.Ref) {
		word, percent := p.World.Injection(s.Ref).Progress()
		return l.Glyph.Busy, l.Ink.Busy, word, percent
	}
	if s.Container != api.ContainerRunning {
		state = text.Clean(s.Container)
		if s.ExitCode != nil {
			state += fmt.Sprintf(" (%d)", *s.ExitCode)
		}
		return l.Glyph.Bad, l.Ink.Dim, state, ""
	}
	switch s.Daemon.State {
	case api.DaemonHealthy:
		more = versionInList(s.Daemon.Version)
		if s.IsHost() && s.Daemon.Kind == "built-in" {
			more = s.Daemon.Kind
		}
		return l.Glyph.Healthy, l.Ink.Good, "running", more
	case api.DaemonInjecting, api.DaemonEjecting:
		return l.Glyph.Busy, l.Ink.Busy, string(s.Daemon.State), ""
	case api.DaemonDown:
		return l.Glyph.Bad, l.Ink.Bad, "down", "no answer"
	case api.DaemonFailed:
		if p := s.Daemon.LastError; p != nil {
			more = failedFor[p.Code]
		}
		return l.Glyph.Bad, l.Ink.Bad, "failed", more
	case api.DaemonNone:
		return l.Glyph.None, theme.Ink{}, "running", "no daemon"
	}
	return l.Glyph.None, theme.Ink{}, "running", ""
}

// versionInList shortens a version for the list: it removes the build's suffix
// first, then the commit of a development version. The overview shows all of it.
func versionInList(s string) string {
	v := format.Version(s)
	if text.Width(v) > moreMost {
		v, _, _ = strings.Cut(v, "+")
	}
	if word, _, commit := strings.Cut(v, "-"); commit && word == "devel" {
		return word
	}
	return v
}
