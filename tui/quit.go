package tui

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

// twice is how soon a second ctrl+c ends the program without a question.
const twice = 2 * time.Second

// mostNames is how many of the other screens the question names.
const mostNames = 3

// leaveMsg quits, even if something runs.
type leaveMsg struct{}

// quitter ends the program; it asks for confirmation if something ends with it.
type quitter struct {
	*ui
	own         map[api.Ref]bool // injections that this UI waits for
	self        func() string    // the id of this screen
	interrupted time.Time        // the last ctrl+c
	question    *dialog.Confirm  // nil until it was asked
	leaving     bool             // the answer was yes; injections are being undone, or left
}

// interrupt handles ctrl+c: like quit, but a second one soon after does not ask.
func (q *quitter) interrupt() tea.Cmd {
	now := q.Now()
	if q.leaving || now.Sub(q.interrupted) < twice {
		return tea.Quit
	}
	q.interrupted = now
	return q.quit()
}

func (q *quitter) quit() tea.Cmd {
	lines := q.underWay()
	if lines == nil {
		return q.leave()
	}
	if q.asking() || q.leaving {
		return nil
	}
	switch {
	case q.coreGoesOn():
		lines = append(lines, "The core keeps running on "+q.coreName()+".")
	case q.World.Status().StopOnExit:
		lines = append(lines, "The daemons that this program started end too (daemon.stop_on_exit).")
	default:
		lines = append(lines, "Daemons that run go on and are found again next time.")
	}
	q.question = &dialog.Confirm{
		Look: q.Look, Title: "Quit?", Lines: lines,
		Yes: "quit", No: "stay", Then: func() tea.Msg { return leaveMsg{} }, YesKey: "y", NoKey: "n",
	}
	q.overlays.push(q.question)
	return nil
}

// coreGoesOn reports whether the core keeps running when the UI has ended.
func (q *quitter) coreGoesOn() bool {
	return q.options.Attached != nil && !q.options.Attached.Ends
}

// asking reports whether the question is on top.
func (q *quitter) asking() bool { return q.question != nil && q.overlays.top() == q.question }

// leave quits when the injections are undone, as the question has promised; those
// that this UI began go on if the core does.
func (q *quitter) leave() tea.Cmd {
	switch {
	case q.leaving:
		return tea.Quit
	case q.coreGoesOn():
		if len(q.own) == 0 || q.outage.is() {
			return tea.Quit
		}
		q.leaving = true
		return q.leaveInjections()
	case q.World.InjectionCount() == 0 || q.options.Undo == nil:
		return tea.Quit
	}
	q.leaving = true
	q.overlays.push(&dialog.Undoing{Look: q.Look})
	undo := q.options.Undo
	return q.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		_ = undo(ctx) // the core logs what it could not undo
		return tea.Quit()
	})
}

// leaveInjections makes the core go on with the injections that this UI began,
// and quits.
func (q *quitter) leaveInjections() tea.Cmd {
	backend, log, own := q.do.backend, q.log, slices.Collect(maps.Keys(q.own))
	return q.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		for _, ref := range own {
			if err := backend.LeaveInjection(ctx, ref); err != nil { // it may have ended
				log.Warn("an injection does not go on", "sandbox", ref.String(), "error", err)
			}
		}
		return tea.Quit()
	})
}

// underWay returns what runs and what quitting does to it; nil if nothing does.
func (q *quitter) underWay() []string {
	others := q.World.OtherScreens(q.self())
	injections, open := q.World.InjectionCount(), q.World.OpenSockets()
	if q.coreGoesOn() {
		others, injections = nil, 0
		if !q.options.Attached.Carries {
			open = nil
		}
	}
	previews, sockets := len(open), 0
	for _, n := range open {
		sockets += n
	}
	of := func(n int, one, more string) string { return map[bool]string{true: one, false: more}[n == 1] }
	var works, losses []string
	if injections > 0 {
		works = append(works, format.Count(injections, "injection")+of(injections, " runs", " run"))
		losses = append(losses, "undoes "+of(injections, "the injection", "the injections"))
	}
	if sockets > 0 {
		watched := format.Count(previews, "preview") + of(previews, " is", " are")
		works = append(works, watched+" being watched by "+format.Count(sockets, "open socket"))
		losses = append(losses, "closes "+of(sockets, "the socket", "the sockets"))
	}
	var lines []string
	if works != nil {
		lines = append(lines, strings.Join(works, " and ")+".")
	}
	if n := len(others); n > 0 {
		if n > mostNames {
			others = append(others[:mostNames:mostNames], q.Glyph.Ellipsis)
		}
		lines = append(lines, format.Count(n, "other screen")+of(n, " is", " are")+" attached: "+
			text.Clean(strings.Join(others, ", ")))
		losses = append(losses, "ends the core for "+of(n, "it", "them")+" too")
	}
	if losses == nil {
		return nil
	}
	return append(lines, "Quitting "+strings.Join(losses, " and ")+".")
}
