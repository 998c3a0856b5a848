package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// replayTime bounds the wait for a replay's answer.
const replayTime = 45 * time.Second

func (m *model) requests() *requests { return m.panes[tabRequests].(*requests) }

func requestActions() []action {
	in := func(run func(*requests) tea.Cmd) func(*model) tea.Cmd {
		return func(m *model) tea.Cmd { return run(m.requests()) }
	}
	one := func(m *model) bool { _, ok := m.requests().exchange(); return ok }
	this := func(m *model) any { x, _ := m.requests().exchange(); return x.ID }
	const both = inRequests | inInspector
	return []action{
		{id: "inspect", keys: []string{"enter"}, short: "inspect", desc: "inspect a request: headers, bodies, frames", group: groupRequests, in: inRequests, when: one, about: this,
			run: in(func(p *requests) tea.Cmd { return p.inspect(p.chosen) })},
		{id: "filter-requests", keys: []string{"/"}, short: "filter", desc: "filter: status:5xx method:post port:3000 path:/api live:true, or any text; ! negates a term", group: groupRequests, in: inRequests, run: in((*requests).startFilter)},
		{id: "follow", keys: []string{"f"}, short: "follow", desc: "follow new requests (moving down the list pauses); in the inspector, new frames", group: groupRequests, in: both,
			when: func(m *model) bool { p := m.requests(); return p.inspector == nil || p.inspector.hasFrames() }, run: in((*requests).follow)},
		{id: "previous-request", keys: []string{"left", "h"}, short: "older", desc: "older request (down the list)", group: groupRequests, in: inInspector, run: in(func(p *requests) tea.Cmd { return p.beside(1) })},
		{id: "next-request", keys: []string{"right", "l"}, short: "newer", desc: "newer request (up the list)", group: groupRequests, in: inInspector, run: in(func(p *requests) tea.Cmd { return p.beside(-1) })},
		{id: "find", keys: []string{"/"}, short: "find", desc: "find text in headers and bodies", group: groupRequests, in: inInspector,
			run: in(func(p *requests) tea.Cmd { p.inspector.startFind(); return nil })},
		{id: "copy-curl", keys: []string{"c"}, short: "curl", desc: "copy the request as a curl command, with secrets as variables", group: groupRequests, in: both, when: one, about: this, run: (*model).copyCurl},
		{id: "replay", keys: []string{"r"}, short: "replay", desc: "send the request again (asks first if its method may change something)", group: groupRequests, in: both, changes: true, when: one, about: this, run: (*model).replay},
		{id: "find-next", keys: []string{"n"}, desc: "next match", group: groupRequests, in: inInspector, run: in(func(p *requests) tea.Cmd { p.inspector.goToFound(1); return nil })},
		{id: "find-previous", keys: []string{"N"}, desc: "previous match", group: groupRequests, in: inInspector, run: in(func(p *requests) tea.Cmd { p.inspector.goToFound(-1); return nil })},
		{id: "to-response", keys: []string{"tab"}, desc: "jump to the response, the frames, then back to the request", group: groupRequests, in: inInspector, run: in(func(p *requests) tea.Cmd { p.inspector.nextSection(); return nil })},
		{id: "fold", keys: []string{"space"}, short: "fold", desc: "fold or unfold the request, the response or the frames (so does a click on the title)", group: groupRequests, in: inInspector,
			run: in(func(p *requests) tea.Cmd { p.inspector.fold(p.inspector.at); return nil })},
		{id: "wrap", keys: []string{"w"}, short: "wrap", desc: "wrap long headers, or cut them to one line", group: groupRequests, in: inInspector,
			run: in(func(p *requests) tea.Cmd { p.inspector.toggleWrap(); return nil })},
		{id: "save-bodies", keys: []string{"x"}, short: "save", desc: "save the captured bodies as files in the current directory", group: groupRequests, in: inInspector, about: this, run: in((*requests).saveBodies)},
		{id: "close-inspector", keys: []string{"esc"}, short: "back", desc: "back to the list of requests", group: groupRequests, in: inInspector, when: one, run: in((*requests).closeInspector)},
		{id: "clear-filter", keys: []string{"esc"}, desc: "clear the filter", group: groupRequests, in: inRequests, when: func(m *model) bool { return m.requests().words != "" }, run: in((*requests).clearFilter)},
		{id: "all-requests", keys: []string{"a"}, short: "all sandboxes", desc: "switch between the requests of all sandboxes and of the selected one", group: groupRequests, in: inRequests, run: in((*requests).toggleEverywhere)},
		{id: "save-har", keys: []string{"S"}, short: "save", desc: "save the filtered requests as an HTTP archive (HAR) in the current directory, secrets masked", group: groupRequests, in: inRequests, run: in((*requests).saveHAR),
			about: func(m *model) any { return m.requests().query("") }},
	}
}

func (m *model) copyCurl() tea.Cmd {
	x, ok := m.requests().exchange()
	if !ok {
		return nil
	}
	backend, clip := m.do.backend, m.options.Copy
	return m.do.do(quickly, func(ctx context.Context) tea.Msg {
		command, err := backend.Curl(ctx, x.ID)
		if err != nil {
			return failMsg{"copy as curl", err}
		}
		return copiedMsg{"copied as curl: " + x.Method + " " + x.Path, clip(command)}
	})
}

// replayedMsg is the outcome of a replay.
type replayedMsg struct {
	exchange api.Exchange
	err      error
}

func (m *model) replay() tea.Cmd {
	x, ok := m.requests().exchange()
	if !ok {
		return nil
	}
	backend := m.do.backend
	method := text.Clean(x.Method)
	run := working("sending "+method+" again", m.do.do(replayTime, func(ctx context.Context) tea.Msg {
		again, err := backend.Replay(ctx, x.ID)
		return replayedMsg{again, err}
	}))
	if !changesThings(x.Method) {
		return run
	}
	m.push(&confirm{
		look: m.look, title: "Replay " + method + "?", yes: "send again", no: "no", run: run,
		lines: []string{fmt.Sprintf("%s %s goes to port %d of %s again.", method, text.Clean(x.Path), x.Port, text.Clean(x.Sandbox)), "What it changes there, it changes once more."},
	})
	return nil
}

// afterReplay goes to the new exchange.
func (p *requests) afterReplay(msg replayedMsg) tea.Cmd {
	if msg.err != nil {
		return func() tea.Msg { return failMsg{"replay", msg.err} }
	}
	x := msg.exchange
	p.jump(x)
	say := func() tea.Msg { return sayMsg("replayed: " + format.Status(x) + " in " + format.Latency(x.Duration)) }
	if p.inspector != nil {
		return tea.Batch(say, p.inspect(x.ID))
	}
	return say
}

// fileTime names files; colons are no part of a file's name everywhere.
const fileTime = "20060102-150405"

// saveHAR writes what the filter takes to a new file.
func (p *requests) saveHAR() tea.Cmd {
	backend, query, dir := p.do.backend, p.query(p.words), p.dir
	name := "daemon-proxy-" + p.now().Format(fileTime) + ".har"
	return p.do.do(quickly, func(ctx context.Context) tea.Msg {
		har, err := backend.HAR(ctx, query)
		if err != nil {
			return failMsg{"save the requests", err}
		}
		file, err := writeNew(dir, name, har)
		if err != nil {
			return failMsg{"save the requests", err}
		}
		return sayMsg("saved " + format.Size(int64(len(har))) + " in " + file)
	})
}
