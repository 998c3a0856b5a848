package tui

import (
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/logs"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/world"
)

// actions is the table, in the order of help and footer. If a key has several
// actions, the first that is usable at the current place is run.
func actions(m *model) []action {
	return slices.Concat(
		requestRows(m), sandboxRows(m), previewRows(m), logRows(m), moveRows(m), programRows(m),
	)
}

func sandboxRows(m *model) []action {
	return []action{
		{
			id: "inject", keys: []string{"i"}, short: "inject", desc: "inject the daemon and start it",
			group: groupSandbox, in: onSandbox, changes: true,
			when: func() bool {
				s, ok := m.selected()
				return ok && world.Injectable(s) && !m.world.Injecting(s.Ref)
			},
			run: m.sandboxes.inject,
		},
		{
			id: "vnc", keys: []string{"v"}, short: "VNC",
			desc:  "open the VNC desktop in the browser; injects the daemon and creates a link if needed",
			group: groupSandbox, in: onSandbox, changes: true,
			when: func() bool {
				s, ok := m.selected()
				return ok && s.Container == api.ContainerRunning && !s.IsHost()
			},
			run: m.sandboxes.vnc,
		},
		{
			id: "stop-daemon", keys: []string{"x"}, desc: "stop the daemon that this program started",
			group: groupSandbox, in: onSandbox, changes: true,
			when: func() bool { s, ok := m.selected(); return ok && s.Daemon.Started && world.HasDaemon(s) },
			run:  m.sandboxes.askStopDaemon,
		},
		{
			id: "container", keys: []string{"s"}, short: "start/stop", desc: "start or stop the container",
			group: groupSandbox, in: onSandbox, changes: true,
			when: func() bool {
				s, ok := m.selected()
				return ok && !s.IsHost() && s.Container != api.ContainerPaused
			},
			run: m.sandboxes.startOrStop,
		},
		{
			id: "shell", keys: []string{"e"}, short: "shell", desc: "open a shell in the container",
			group: groupSandbox, in: onSandbox, changes: true,
			when: func() bool {
				s, ok := m.selected()
				return ok && s.Container == api.ContainerRunning && !s.IsHost()
			},
			run: m.sandboxes.shell,
		},
		{
			id: "eject", keys: []string{"U"}, desc: "remove the daemon's binary and log from the container",
			group: groupSandbox, in: onSandbox, changes: true,
			when: func() bool {
				s, ok := m.selected()
				return ok && !s.IsHost() && s.Container == api.ContainerRunning
			},
			run: m.sandboxes.askEject,
		},
		{
			id: "demo", keys: []string{"D"}, short: "demo", desc: "start the demo sandbox and open it",
			group: groupSandbox, in: onSandbox, changes: true,
			when:    func() bool { return m.world.Engine().State == "connected" },
			offered: func() bool { return m.world.Containers() == 0 }, run: m.sandboxes.demo,
			about: func() any { return nil },
		},
	}
}

func moveRows(m *model) []action {
	move := func(id, desc string, to draw.Motion, keys ...string) action {
		run := func() tea.Cmd { return m.inFocus().Move(to) }
		return action{id: id, keys: keys, desc: desc, group: groupMove, in: everywhere, run: run}
	}
	return []action{
		move("up", "move up", draw.Up, "up", "k"),
		move("down", "move down", draw.Down, "down", "j"),
		move("page-up", "page up", draw.PageUp, "pgup", "ctrl+b"),
		move("page-down", "page down", draw.PageDown, "pgdown", "ctrl+f"),
		move("top", "go to the top", draw.ToTop, "g", "home"),
		move("bottom", "go to the end", draw.ToBottom, "G", "end"),
		{
			id: "details", keys: []string{"enter"}, short: "details", desc: "go from the list to the details",
			group: groupMove, in: inList, run: func() tea.Cmd { return m.goTo(m.tab) },
		},
		{
			id: "pane", keys: []string{"tab", "shift+tab"}, short: "pane", desc: "switch to the other pane",
			group: groupMove, in: onSandbox, run: m.otherPane,
		},
		{
			id: "next-tab", keys: []string{"right", "l"}, desc: "next tab", group: groupMove, in: onSandbox,
			run: func() tea.Cmd { return m.sideways(1) },
		},
		{
			id: "previous-tab", keys: []string{"left", "h"}, desc: "previous tab; from the first tab, the list",
			group: groupMove, in: onSandbox, run: func() tea.Cmd { return m.sideways(-1) },
		},
		{
			id: "overview", keys: []string{"1"}, desc: "show the overview", group: groupMove, in: onSandbox,
			run: func() tea.Cmd { return m.goTo(tabOverview) },
		},
		{
			id: "requests", keys: []string{"2"}, desc: "show the requests", group: groupMove, in: onSandbox,
			run: func() tea.Cmd { return m.goTo(tabRequests) },
		},
		{
			id: "previews", keys: []string{"3"}, desc: "show the previews", group: groupMove, in: onSandbox,
			run: func() tea.Cmd { return m.goTo(tabPreviews) },
		},
		{id: "logs", keys: []string{"4"}, desc: "show the logs", group: groupMove, in: onSandbox, run: m.toLogs},
		{
			id: "filter", keys: []string{"/"}, short: "filter", desc: "filter the focused list", group: groupMove,
			in: inList, run: func() tea.Cmd { return m.list.StartFilter() },
		},
	}
}

func programRows(m *model) []action {
	return []action{
		{
			id: "palette", keys: []string{":"}, desc: "run any action that applies here, by name",
			group: groupProgram, in: everywhere, run: m.dispatch.openPalette,
		},
		{
			id: "engine", keys: []string{"E"}, desc: "switch to another engine (docker context)",
			group: groupProgram, in: onSandbox, changes: true, run: m.openEngines,
		},
		{
			id: "refresh", keys: []string{"R"}, desc: "refresh now and retry the engine", group: groupProgram,
			in: everywhere, run: m.follow.refresh,
		},
		{
			id: "mouse", keys: []string{"m"}, desc: "turn the mouse on or off (off: the terminal selects text)",
			group: groupProgram, in: everywhere, run: m.toggleMouse,
		},
		{
			id: "help", keys: []string{"?"}, short: "help", desc: "show every key", group: groupProgram,
			in: everywhere, run: m.dispatch.openHelp,
		},
		{
			id: "back", keys: []string{"esc"}, desc: "go back; cancels the injection on screen",
			group: groupProgram, in: everywhere, run: m.back,
		},
		{
			id: "quit", keys: []string{"q"}, short: "quit",
			desc: "quit (asks while an injection runs or a preview has open sockets)", group: groupProgram,
			in: everywhere, run: m.quitter.quit,
		},
	}
}

func previewRows(m *model) []action {
	this := func() any { l, _ := m.links.current(); return l.ID }
	return []action{
		{
			id: "new-preview", keys: []string{"n"}, short: "preview",
			desc: "create a preview: a link to a port of the sandbox", group: groupPreviews, in: onSandbox,
			changes: true, when: func() bool { _, ok := m.selected(); return ok }, run: m.links.newPreview,
		},
		{
			id: "open-new-port", keys: []string{"o"},
			desc: "open the port that just came up (while its note is shown)", group: groupPreviews, in: onSandbox,
			changes: true, when: func() bool { return m.news.shown() && !m.options.ReadOnly }, run: m.news.openNew,
			about: func() any { return fmt.Sprint(m.news.newPort.card.Sandbox, m.news.newPort.card.Port.Port) },
		},
		{
			id: "open", keys: []string{"o"}, short: "open", desc: "open the preview in the browser",
			group: groupPreviews, in: onSandbox, when: m.links.hasLink, about: this, run: m.links.openLink,
		},
		{
			id: "open-preview", keys: []string{"enter"}, desc: "open the preview in the browser",
			group: groupPreviews, in: inPreviews, when: m.links.hasLink, about: this, run: m.links.openLink,
		},
		{
			id: "copy", keys: []string{"y"}, short: "copy", desc: "copy the preview's URL", group: groupPreviews,
			in: onSandbox, when: m.links.hasLink, about: this, run: m.links.copyLink,
		},
		{
			id: "revoke", keys: []string{"d"}, short: "revoke", desc: "revoke the preview (asks first)",
			group: groupPreviews, in: onSandbox, changes: true, when: m.links.hasLink, about: this,
			run: m.links.askRevoke,
		},
		{
			id: "share", keys: []string{"Q"}, short: "phone",
			desc:  "show the preview on a phone: a QR code, and a network listener while it is shown",
			group: groupPreviews, in: onSandbox, changes: true, when: m.links.hasLink, about: this,
			run: m.links.askShare,
		},
	}
}

func requestRows(m *model) []action {
	in := func(run func(*requests.Pane) tea.Cmd) func() tea.Cmd {
		return func() tea.Cmd { return run(m.requests()) }
	}
	one := func() bool { _, ok := m.requests().Exchange(); return ok }
	this := func() any { x, _ := m.requests().Exchange(); return x.ID }
	const both = inRequests | inInspector
	return []action{
		{
			id: "inspect", keys: []string{"enter"}, short: "inspect",
			desc: "inspect a request: headers, bodies, frames", group: groupRequests, in: inRequests, when: one,
			about: this, run: in(func(p *requests.Pane) tea.Cmd { return p.Inspect(p.Chosen) }),
		},
		{
			id: "filter-requests", keys: []string{"/"}, short: "filter",
			desc:  "filter: status:5xx method:post port:3000 path:/api live:true, or any text; ! negates a term",
			group: groupRequests, in: inRequests, run: in((*requests.Pane).StartFilter),
		},
		{
			id: "follow", keys: []string{"f"}, short: "follow",
			desc:  "follow new requests (moving down the list pauses); in the inspector, new frames",
			group: groupRequests, in: both,
			when: func() bool { p := m.requests(); return p.Inspector == nil || p.Inspector.HasFrames() },
			run:  in((*requests.Pane).Follow),
		},
		{
			id: "previous-request", keys: []string{"left", "h"}, short: "older",
			desc: "older request (down the list)", group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { return p.Beside(1) }),
		},
		{
			id: "next-request", keys: []string{"right", "l"}, short: "newer", desc: "newer request (up the list)",
			group: groupRequests, in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { return p.Beside(-1) }),
		},
		{
			id: "find", keys: []string{"/"}, short: "find", desc: "find text in headers and bodies",
			group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.StartFind(); return nil }),
		},
		{
			id: "copy-curl", keys: []string{"c"}, short: "curl",
			desc: "copy the request as a curl command, with secrets as variables", group: groupRequests, in: both,
			when: one, about: this, run: m.requested.copyCurl,
		},
		{
			id: "replay", keys: []string{"r"}, short: "replay",
			desc: "send the request again (asks first if its method may change something)", group: groupRequests,
			in: both, changes: true, when: one, about: this, run: m.requested.replay,
		},
		{
			id: "find-next", keys: []string{"n"}, desc: "next match", group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.FindNext(1); return nil }),
		},
		{
			id: "find-previous", keys: []string{"N"}, desc: "previous match", group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.FindNext(-1); return nil }),
		},
		{
			id: "to-response", keys: []string{"tab"},
			desc: "jump to the response, the frames, then back to the request", group: groupRequests,
			in: inInspector, run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.NextSection(); return nil }),
		},
		{
			id: "fold", keys: []string{"space"}, short: "fold",
			desc:  "fold or unfold the request, the response or the frames (so does a click on the title)",
			group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.Fold(p.Inspector.At); return nil }),
		},
		{
			id: "wrap", keys: []string{"w"}, short: "wrap", desc: "wrap long headers, or cut them to one line",
			group: groupRequests, in: inInspector,
			run: in(func(p *requests.Pane) tea.Cmd { p.Inspector.ToggleWrap(); return nil }),
		},
		{
			id: "save-bodies", keys: []string{"x"}, short: "save",
			desc: "save the captured bodies as files in the current directory", group: groupRequests,
			in: inInspector, about: this,
			run: in(func(p *requests.Pane) tea.Cmd { return p.Inspector.SaveBodies(p.Dir) }),
		},
		{
			id: "close-inspector", keys: []string{"esc"}, short: "back", desc: "back to the list of requests",
			group: groupRequests, in: inInspector, when: one, run: in((*requests.Pane).CloseInspector),
		},
		{
			id: "clear-filter", keys: []string{"esc"}, desc: "clear the filter", group: groupRequests,
			in: inRequests, when: func() bool { return m.requests().Filtered() },
			run: in((*requests.Pane).ClearFilter),
		},
		{
			id: "all-requests", keys: []string{"a"}, short: "all sandboxes",
			desc: "switch between the requests of all sandboxes and of the selected one", group: groupRequests,
			in: inRequests, run: in((*requests.Pane).ToggleEverywhere),
		},
		{
			id: "save-har", keys: []string{"S"}, short: "save",
			desc:  "save the filtered requests as an HTTP archive (HAR) in the current directory, secrets masked",
			group: groupRequests, in: inRequests, run: in((*requests.Pane).SaveHAR),
			about: func() any { return m.requests().Scope() },
		},
	}
}

func logRows(m *model) []action {
	in := func(run func(*logs.Pane) tea.Cmd) func() tea.Cmd {
		return func() tea.Cmd { return run(m.logs()) }
	}
	return []action{
		{
			id: "log-source", keys: []string{"t"}, short: "source",
			desc: "switch between the logs of the container, the daemon and this program", group: groupRequests,
			in: inLogs, run: in((*logs.Pane).NextSource),
		},
		{
			id: "log-follow", keys: []string{"f"}, short: "follow", desc: "follow the log (scrolling up pauses)",
			group: groupRequests, in: inLogs, run: in((*logs.Pane).Follow),
		},
		{
			id: "log-wrap", keys: []string{"w"}, short: "wrap", desc: "wrap long lines, or cut them at the edge",
			group: groupRequests, in: inLogs, run: in((*logs.Pane).ToggleWrap),
		},
		{
			id: "log-filter", keys: []string{"/"}, short: "search", desc: "show only lines that contain a text",
			group: groupRequests, in: inLogs, run: in((*logs.Pane).StartFilter),
		},
	}
}

// CheckKeys validates a key configuration: it reports unknown actions, keys that
// no terminal sends, and keys that two actions would share in one place.
func CheckKeys(rebind map[string]string) error {
	_, err := newKeymap(actions(emptyModel()), rebind, false)
	return err
}
