package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
)

// twice is how soon a second ctrl+c ends the program without a question.
const twice = 2 * time.Second

// leaveMsg quits, even if something runs.
type leaveMsg struct{}

// quitter ends the program; it asks for confirmation if something runs.
type quitter struct {
	*ui
	interrupted time.Time       // the last ctrl+c
	question    *dialog.Confirm // nil until it was asked
	leaving     bool            // the answer was yes; injections are being undone
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
	work, loss := q.underWay()
	if work == "" {
		return tea.Quit
	}
	if q.asking() || q.leaving {
		return nil
	}
	after := "Daemons that run go on and are found again next time."
	if q.World.Status().StopOnExit {
		after = "The daemons that this program started end too (daemon.stop_on_exit)."
	}
	q.question = &dialog.Confirm{
		Look: q.Look, Title: "Quit?", Lines: []string{work, loss, after},
		Yes: "quit", No: "stay", Then: func() tea.Msg { return leaveMsg{} }, YesKey: "y", NoKey: "n",
	}
	q.overlays.push(q.question)
	return nil
}

// asking reports whether the question is on top.
func (q *quitter) asking() bool { return q.question != nil && q.overlays.top() == q.question }

// leave quits when the injections are undone, as the question has promised.
func (q *quitter) leave() tea.Cmd {
	if q.leaving || q.World.InjectionCount() == 0 {
		return tea.Quit
	}
	q.leaving = true
	q.overlays.push(&dialog.Undoing{Look: q.Look})
	backend := q.do.backend
	return q.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		_ = backend.UndoInjections(ctx) // the core logs what it could not undo
		return tea.Quit()
	})
}

// underWay returns what runs and what quitting does to it; empty if nothing runs.
func (q *quitter) underWay() (work, loss string) {
	open := q.World.OpenSockets()
	injections, previews, sockets := q.World.InjectionCount(), len(open), 0
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
	if works == nil {
		return "", ""
	}
	return strings.Join(works, " and ") + ".", "Quitting " + strings.Join(losses, " and ") + "."
}
