package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/text"
)

// replayTime bounds the wait for a replay's answer.
const replayTime = 45 * time.Second

func (m *model) requests() *requests.Pane { return m.panes[tabRequests].(*requests.Pane) }

func requestActions() []action {
	in := func(run func(*requests.Pane) tea.Cmd) func(*model) tea.Cmd {
		return func(m *model) tea.Cmd { return run(m.requests()) }
	}
	one := func(m *model) bool { _, ok := m.requests().Exchange(); return ok }
	this := func(m *model) any { x, _ := m.requests().Exchange(); return x.ID }
	const both = inRequests | inInspector
	return []action{
		{id: "inspect", keys: []string{"enter"}, short: "inspect", desc: "inspect a request: headers, bodies, frames", group: groupRequests, in: inRequests, when: one, about: this,
			run: in(func(p *requests.Pane) tea.Cmd { return p.Inspect(p.Chosen) })},
		{id: "filter-requests", keys: []string{"/"}, short: "filter", desc: "filter: status:5xx method:post port:3000 path:/api live:true, or any text; ! negates a term", group: groupRequests, in: inRequests, run: in((*requests.Pane).StartFilter)},
		{id: "follow", keys: []string{"f"}, short: "follow", desc: "follow new requests (moving down the list pauses); in the inspector, new frames", group: groupRequests, in: both,
			when: func(m *model) bool { p := m.requests(); return p.Inspector == nil || p.Inspector.HasFrames() }, run: in((*requests.Pane).Follow)},
		{id: "previous-request", keys: []string{"left", "h"}, short: "older", desc: "older request (down the list)", group: groupRequests, in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { return p.Beside(1) })},
		{id: "next-request", keys: []string{"right", "l"}, short: "newer", desc: "newer request (up the list)", group: groupRequests, in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { return p.Beside(-1) })},
		{id: "find", keys: []string{"/"}, short: "find", desc: "find text in headers and bodies", group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.StartFind(); return nil })},
		{id: "copy-curl", keys: []string{"c"}, short: "curl", desc: "copy the request as a curl command, with secrets as variables", group: groupRequests, in: both, when: one, about: this, run: (*model).copyCurl},
		{id: "replay", keys: []string{"r"}, short: "replay", desc: "send the request again (asks first if its method may change something)", group: groupRequests, in: both, changes: true, when: one, about: this, run: (*model).replay},
		{id: "find-next", keys: []string{"n"}, desc: "next match", group: groupRequests, in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.FindNext(1); return nil })},
		{id: "find-previous", keys: []string{"N"}, desc: "previous match", group: groupRequests, in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.FindNext(-1); return nil })},
		{id: "to-response", keys: []string{"tab"}, desc: "jump to the response, the frames, then back to the request", group: groupRequests, in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.NextSection(); return nil })},
		{id: "fold", keys: []string{"space"}, short: "fold", desc: "fold or unfold the request, the response or the frames (so does a click on the title)", group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.Fold(p.Inspector.At); return nil })},
		{id: "wrap", keys: []string{"w"}, short: "wrap", desc: "wrap long headers, or cut them to one line", group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.ToggleWrap(); return nil })},
		{id: "save-bodies", keys: []string{"x"}, short: "save", desc: "save the captured bodies as files in the current directory", group: groupRequests, in: inInspector, about: this, run: in(func(p *requests.Pane) tea.Cmd { return p.Inspector.SaveBodies(p.Dir) })},
		{id: "close-inspector", keys: []string{"esc"}, short: "back", desc: "back to the list of requests", group: groupRequests, in: inInspector, when: one, run: in((*requests.Pane).CloseInspector)},
		{id: "clear-filter", keys: []string{"esc"}, desc: "clear the filter", group: groupRequests, in: inRequests, when: func(m *model) bool { return m.requests().Filtered() }, run: in((*requests.Pane).ClearFilter)},
		{id: "all-requests", keys: []string{"a"}, short: "all sandboxes", desc: "switch between the requests of all sandboxes and of the selected one", group: groupRequests, in: inRequests, run: in((*requests.Pane).ToggleEverywhere)},
		{id: "save-har", keys: []string{"S"}, short: "save", desc: "save the filtered requests as an HTTP archive (HAR) in the current directory, secrets masked", group: groupRequests, in: inRequests, run: in((*requests.Pane).SaveHAR),
			about: func(m *model) any { return m.requests().Scope() }},
	}
}

func (m *model) copyCurl() tea.Cmd {
	x, ok := m.requests().Exchange()
	if !ok {
		return nil
	}
	backend, clip := m.do.backend, m.options.Copy
	return m.do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		command, err := backend.Curl(ctx, x.ID)
		if err != nil {
			return pane.FailMsg{Action: "copy as curl", Err: err}
		}
		return copiedMsg{"copied as curl: " + x.Method + " " + x.Path, clip(command)}
	})
}

func (m *model) replay() tea.Cmd {
	x, ok := m.requests().Exchange()
	if !ok {
		return nil
	}
	backend := m.do.backend
	method := text.Clean(x.Method)
	run := working("sending "+method+" again", m.do.Do(replayTime, func(ctx context.Context) tea.Msg {
		again, err := backend.Replay(ctx, x.ID)
		return requests.ReplayedMsg{Exchange: again, Err: err}
	}))
	if !requests.Unsafe(x.Method) {
		return run
	}
	m.push(&dialog.Confirm{
		Look: m.look, Title: "Replay " + method + "?", Yes: "send again", No: "no", Run: run,
		Lines: []string{fmt.Sprintf("%s %s goes to port %d of %s again.", method, text.Clean(x.Path), x.Port, text.Clean(x.Sandbox)), "What it changes there, it changes once more."},
	})
	return nil
}
