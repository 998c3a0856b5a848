package tui

import (
	"cmp"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/inspect"
	"daemon-proxy/tui/logs"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/world"
)

// actions is the table, in the order of help and footer. If a key has several
// actions, the first that is usable at the current place is run.
func actions(m *model) []*action {
	return slices.Concat(
		requestRows(m), sandboxRows(m), previewRows(m), logRows(m), moveRows(m), programRows(m),
	)
}

// grouped returns the rows of a group; those without a place of their own are at in.
func grouped(group string, in place, rows []*action) []*action {
	for _, a := range rows {
		a.group, a.in = group, cmp.Or(a.in, in)
	}
	return rows
}

func sandboxRows(m *model) []*action {
	on := func(fits func(s api.Sandbox) bool) func() bool {
		return func() bool { s, ok := m.selected(); return ok && fits(s) }
	}
	running := on(func(s api.Sandbox) bool { return s.Container == api.ContainerRunning && !s.IsHost() })
	return grouped(groupSandbox, onSandbox, []*action{
		{id: "inject", keys: []string{"i"}, short: "inject", desc: "inject the daemon and start it", changes: true,
			when: on(func(s api.Sandbox) bool { return world.Injectable(s) && !m.World.Injecting(s.Ref) }),
			run:  m.sandboxes.inject},
		{id: "vnc", keys: []string{"v"}, short: "VNC", changes: true, when: running, run: m.sandboxes.vnc,
			desc: "open the desktop in the browser; injects the daemon and creates a link if needed"},
		{id: "stop-daemon", keys: []string{"x"}, desc: "stop the daemon that this program started", changes: true,
			when: on(func(s api.Sandbox) bool { return s.Daemon.Started && world.HasDaemon(s) }),
			run:  m.sandboxes.askStopDaemon},
		{id: "container", keys: []string{"s"}, short: "start/stop", desc: "start or stop the container",
			changes: true, run: m.sandboxes.startOrStop,
			when: on(func(s api.Sandbox) bool { return !s.IsHost() && s.Container != api.ContainerPaused })},
		{id: "shell", keys: []string{"e"}, short: "shell", desc: "open a shell in the container", changes: true,
			when: running, run: m.sandboxes.shell},
		{id: "eject", keys: []string{"U"}, desc: "remove the daemon's binary and log from the container",
			changes: true, when: running, run: m.sandboxes.askEject},
		{id: "doctor", keys: []string{"C"}, changes: true, run: m.sandboxes.checkUp,
			desc: "check the way to the sandbox, hop by hop, with times and what is lost",
			when: func() bool { _, ok := m.selected(); return ok }},
		{id: "demo", keys: []string{"D"}, short: "demo", desc: "start the demo sandbox and open it", changes: true,
			when:    func() bool { return m.World.Connected() },
			offered: func() bool { return m.World.Containers() == 0 },
			run:     m.sandboxes.demo, about: func() any { return nil }},
	})
}

func moveRows(m *model) []*action {
	move := func(id, desc string, to draw.Motion, keys ...string) *action {
		run := func() tea.Cmd { return m.inFocus().Move(to) }
		return &action{id: id, keys: keys, desc: desc, in: everywhere, run: run}
	}
	tab := func(tab int) func() tea.Cmd { return func() tea.Cmd { return m.goTo(tab) } }
	return grouped(groupMove, onSandbox, []*action{
		move("up", "move up", draw.Up, "up", "k"),
		move("down", "move down", draw.Down, "down", "j"),
		move("page-up", "page up", draw.PageUp, "pgup", "ctrl+b"),
		move("page-down", "page down", draw.PageDown, "pgdown", "ctrl+f"),
		move("top", "go to the top", draw.ToTop, "g", "home"),
		move("bottom", "go to the end", draw.ToBottom, "G", "end"),
		{id: "details", keys: []string{"enter"}, short: "details", desc: "go from the list to the details",
			in: inList, run: func() tea.Cmd { return m.goTo(m.tab) }},
		{id: "pane", keys: []string{"tab", "shift+tab"}, short: "pane", desc: "switch to the other pane",
			run: m.otherPane},
		{id: "next-tab", keys: []string{"right", "l"}, desc: "next tab", run: func() tea.Cmd { return m.sideways(1) }},
		{id: "previous-tab", keys: []string{"left", "h"}, desc: "previous tab; from the first tab, the list",
			run: func() tea.Cmd { return m.sideways(-1) }},
		{id: "overview", keys: []string{"1"}, desc: "show the overview", run: tab(tabOverview)},
		{id: "requests", keys: []string{"2"}, desc: "show the requests", run: tab(tabRequests)},
		{id: "previews", keys: []string{"3"}, desc: "show the previews", run: tab(tabPreviews)},
		{id: "logs", keys: []string{"4"}, desc: "show the logs", run: m.toLogs},
		{id: "filter", keys: []string{"/"}, short: "filter", desc: "filter the focused list", in: inList,
			run: func() tea.Cmd { return m.list.StartFilter() }},
	})
}

func programRows(m *model) []*action {
	return grouped(groupProgram, everywhere, []*action{
		{id: "palette", keys: []string{":"}, desc: "run any action that applies here, by name",
			run: m.dispatch.openPalette},
		{id: "engine", keys: []string{"E"}, desc: "open and close engines (docker contexts)", in: onSandbox,
			changes: true, run: m.dispatch.openEngines},
		{id: "refresh", keys: []string{"R"}, desc: "refresh now and retry lost engines", run: m.follow.refresh},
		{id: "mouse", keys: []string{"m"}, desc: "turn the mouse on or off (off: the terminal selects text)",
			run: m.toggleMouse},
		{id: "help", keys: []string{"?"}, short: "help", desc: "show every key", run: m.dispatch.openHelp},
		{id: "back", keys: []string{"esc"}, desc: "go back; cancels the injection on screen", run: m.back},
		{id: "quit", keys: []string{"q"}, short: "quit", run: m.quitter.quit,
			desc: "quit (asks while an injection runs or a preview has open sockets)"},
	})
}

func previewRows(m *model) []*action {
	this := func() any { l, _ := m.links.current(); return l.ID }
	onLink := func(a *action, run func(api.Link) tea.Cmd) *action {
		a.when, a.about, a.run = m.links.hasLink, this, m.links.onCurrent(run)
		return a
	}
	return grouped(groupPreviews, onSandbox, []*action{
		{id: "new-preview", keys: []string{"n"}, short: "preview", changes: true, run: m.links.newPreview,
			desc: "create a preview: a link to a port of the sandbox",
			when: func() bool { _, ok := m.selected(); return ok }},
		{id: "open-new-port", keys: []string{"o"}, changes: true, run: m.news.openNew,
			desc:  "open the port that just came up (while its note is shown)",
			when:  func() bool { return m.news.shown() && !m.World.ReadOnly() },
			about: func() any { return fmt.Sprint(m.news.newPort.card.Sandbox, m.news.newPort.card.Port.Port) }},
		onLink(&action{id: "open", keys: []string{"o"}, short: "open", desc: "open the preview in the browser"},
			m.links.openLink),
		onLink(&action{id: "open-preview", keys: []string{"enter"}, desc: "open the preview in the browser",
			in: inPreviews}, m.links.openLink),
		onLink(&action{id: "copy", keys: []string{"y"}, short: "copy", desc: "copy the preview's URL"}, m.links.copyURL),
		onLink(&action{id: "revoke", keys: []string{"d"}, short: "revoke", desc: "revoke the preview (asks first)",
			changes: true}, m.links.askRevoke),
		onLink(&action{id: "share", keys: []string{"Q"}, short: "phone", changes: true,
			desc: "show the preview on a phone: a QR code, and a network listener while it is shown"},
			m.links.askShare),
	})
}

func requestRows(m *model) []*action {
	in := func(run func(*requests.Pane) tea.Cmd) func() tea.Cmd {
		return func() tea.Cmd { return run(m.requests()) }
	}
	inspector := func(run func(*inspect.Inspector)) func() tea.Cmd {
		return func() tea.Cmd { run(m.requests().Inspector); return nil }
	}
	one := func() bool { _, ok := m.requests().Exchange(); return ok }
	this := func() any { x, _ := m.requests().Exchange(); return x.ID }
	const both = inRequests | inInspector
	return grouped(groupRequests, inInspector, []*action{
		{id: "inspect", keys: []string{"enter"}, short: "inspect", in: inRequests, when: one, about: this,
			desc: "inspect a request: headers, bodies, frames",
			run:  in(func(p *requests.Pane) tea.Cmd { return p.Inspect(p.Chosen) })},
		{id: "filter-requests", keys: []string{"/"}, short: "filter", in: inRequests,
			desc: "filter: status:5xx method:post port:3000 path:/api live:true, or any text; ! negates a term",
			run:  in((*requests.Pane).StartFilter)},
		{id: "follow", keys: []string{"f"}, short: "follow", in: both,
			desc: "follow new requests (moving down the list pauses); in the inspector, new frames",
			when: func() bool { p := m.requests(); return p.Inspector == nil || p.Inspector.HasFrames() },
			run:  in((*requests.Pane).Follow)},
		{id: "previous-request", keys: []string{"left", "h"}, short: "older", desc: "older request (down the list)",
			run: in(func(p *requests.Pane) tea.Cmd { return p.Beside(1) })},
		{id: "next-request", keys: []string{"right", "l"}, short: "newer", desc: "newer request (up the list)",
			run: in(func(p *requests.Pane) tea.Cmd { return p.Beside(-1) })},
		{id: "find", keys: []string{"/"}, short: "find", desc: "find text in headers and bodies",
			run: inspector((*inspect.Inspector).StartFind)},
		{id: "copy-curl", keys: []string{"c"}, short: "curl", in: both, when: one, about: this,
			desc: "copy the request as a curl command, with secrets as variables", run: m.requested.copyCurl},
		{id: "replay", keys: []string{"r"}, short: "replay", in: both, changes: true, when: one, about: this,
			desc: "send the request again (asks first if its method may change something)", run: m.requested.replay},
		{id: "find-next", keys: []string{"n"}, desc: "next match",
			run: inspector(func(in *inspect.Inspector) { in.FindNext(1) })},
		{id: "find-previous", keys: []string{"N"}, desc: "previous match",
			run: inspector(func(in *inspect.Inspector) { in.FindNext(-1) })},
		{id: "to-response", keys: []string{"tab"}, desc: "jump to the response, the frames, then back to the request",
			run: inspector((*inspect.Inspector).NextSection)},
		{id: "fold", keys: []string{"space"}, short: "fold",
			desc: "fold or unfold the request, the response or the frames (so does a click on the title)",
			run:  inspector(func(in *inspect.Inspector) { in.Fold(in.At) })},
		{id: "wrap", keys: []string{"w"}, short: "wrap", desc: "wrap long headers, or cut them to one line",
			run: inspector((*inspect.Inspector).ToggleWrap)},
		{id: "save-bodies", keys: []string{"x"}, short: "save", about: this,
			desc: "save the captured bodies as files in the current directory",
			run:  in(func(p *requests.Pane) tea.Cmd { return p.Inspector.SaveBodies(p.Dir) })},
		{id: "close-inspector", keys: []string{"esc"}, short: "back", desc: "back to the list of requests",
			when: one, run: in((*requests.Pane).CloseInspector)},
		{id: "clear-filter", keys: []string{"esc"}, desc: "clear the filter", in: inRequests,
			when: func() bool { return m.requests().Filtered() }, run: in((*requests.Pane).ClearFilter)},
		{id: "all-requests", keys: []string{"a"}, short: "all sandboxes", in: inRequests,
			desc: "switch between the requests of all sandboxes and of the selected one",
			run:  in((*requests.Pane).ToggleEverywhere)},
		{id: "save-har", keys: []string{"S"}, short: "save", in: inRequests, run: in((*requests.Pane).SaveHAR),
			desc:  "save the filtered requests as an HTTP archive (HAR) in the current directory, secrets masked",
			about: func() any { return m.requests().Scope() }},
	})
}

func logRows(m *model) []*action {
	in := func(run func(*logs.Pane) tea.Cmd) func() tea.Cmd {
		return func() tea.Cmd { return run(m.logs()) }
	}
	return grouped(groupRequests, inLogs, []*action{
		{id: "log-source", keys: []string{"t"}, short: "source", run: in((*logs.Pane).NextSource),
			desc: "switch between the logs of the container, the daemon and this program"},
		{id: "log-follow", keys: []string{"f"}, short: "follow", run: in((*logs.Pane).Follow),
			desc: "follow the log (scrolling up pauses)"},
		{id: "log-wrap", keys: []string{"w"}, short: "wrap", run: in((*logs.Pane).ToggleWrap),
			desc: "wrap long lines, or cut them at the edge"},
		{id: "log-filter", keys: []string{"/"}, short: "search", run: in((*logs.Pane).StartFilter),
			desc: "show only lines that contain a text"},
	})
}

// CheckKeys validates a key configuration: it reports unknown actions, keys that
// no terminal sends, and keys that two actions would share in one place.
func CheckKeys(rebind map[string]string) error {
	_, err := newKeymap(actions(emptyModel()), rebind)
	return err
}
