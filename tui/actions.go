package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/world"
)

// place is where a key is pressed; a set of them says where an action is.
type place uint

// The places.
const (
	inList place = 1 << iota
	inOverview
	inRequests
	inPreviews
	inLogs
	inInspector
	everywhere = inList | inOverview | inRequests | inPreviews | inLogs | inInspector
	onSandbox  = everywhere &^ inInspector
)

// String names the places of a set.
func (p place) String() string {
	switch p {
	case everywhere:
		return "everywhere"
	case onSandbox:
		return "outside the inspector"
	}
	var names []string
	for i, name := range []string{"list", "overview", "requests", "previews", "logs", "inspector"} {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// action is one row of the table that feeds dispatch, footer, help, palette
// and the documentation.
type action struct {
	id    string // the name by which its keys are configured
	keys  []string
	short string // the word in the footer; empty: not shown there
	desc  string
	group string // the heading in the help
	in    place
	// changes marks what --read-only takes away.
	changes bool
	// when says whether the action makes sense now; nil: always.
	when func(*model) bool
	// offered says whether the footer shows it; nil: wherever it makes sense.
	offered func(*model) bool
	run     func(*model) tea.Cmd
	// about is what it would be about now, by which that is known again; nil:
	// the chosen sandbox, in the groups of sandboxes and previews.
	about func(*model) any
}

// The headings of the help.
const (
	groupSandbox  = "Sandbox"
	groupPreviews = "Previews"
	groupRequests = "Requests and logs"
	groupMove     = "Moving"
	groupProgram  = "Program"
)

// groups are the headings in their order.
func groups() []string {
	return []string{groupSandbox, groupPreviews, groupRequests, groupMove, groupProgram}
}

// actions is the table, in the order of help and footer. Of two actions on one
// key the first that is here and makes sense now is run.
func actions() []action {
	return slices.Concat(requestActions(), sandboxActions(), previewActions(), logActions(), moveActions(), programActions())
}

func sandboxActions() []action {
	return []action{
		{id: "inject", keys: []string{"i"}, short: "inject", desc: "inject the daemon and start it", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool {
				s, ok := m.chosen()
				return ok && world.Injectable(s) && !m.world.Injecting(s.Ref)
			}, run: (*model).inject},
		{id: "vnc", keys: []string{"v"}, short: "VNC", desc: "open the VNC desktop in the browser; injects the daemon and creates a link if needed", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool {
				s, ok := m.chosen()
				return ok && s.Container == api.ContainerRunning && !s.IsHost()
			}, run: (*model).vnc},
		{id: "stop-daemon", keys: []string{"x"}, desc: "stop the daemon that this program started", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool { s, ok := m.chosen(); return ok && s.Daemon.Started && world.HasDaemon(s) }, run: (*model).askStopDaemon},
		{id: "container", keys: []string{"s"}, short: "start/stop", desc: "start or stop the container", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool {
				s, ok := m.chosen()
				return ok && !s.IsHost() && s.Container != api.ContainerPaused
			}, run: (*model).startOrStop},
		{id: "shell", keys: []string{"e"}, short: "shell", desc: "open a shell in the container", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool {
				s, ok := m.chosen()
				return ok && s.Container == api.ContainerRunning && !s.IsHost()
			}, run: (*model).shell},
		{id: "eject", keys: []string{"U"}, desc: "remove the daemon's binary and log from the container", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool {
				s, ok := m.chosen()
				return ok && !s.IsHost() && s.Container == api.ContainerRunning
			}, run: (*model).askEject},
		{id: "demo", keys: []string{"D"}, short: "demo", desc: "start the demo sandbox and open it", group: groupSandbox, in: onSandbox, changes: true,
			when: func(m *model) bool { return m.world.Engine.State == "connected" }, offered: func(m *model) bool { return m.world.Containers() == 0 }, run: (*model).demo,
			about: func(*model) any { return nil }},
	}
}

func moveActions() []action {
	move := func(id, desc string, to draw.Motion, keys ...string) action {
		return action{id: id, keys: keys, desc: desc, group: groupMove, in: everywhere, run: func(m *model) tea.Cmd { return m.inFocus().Move(to) }}
	}
	return []action{
		move("up", "move up", draw.Up, "up", "k"),
		move("down", "move down", draw.Down, "down", "j"),
		move("page-up", "page up", draw.PageUp, "pgup", "ctrl+b"),
		move("page-down", "page down", draw.PageDown, "pgdown", "ctrl+f"),
		move("top", "go to the top", draw.ToTop, "g", "home"),
		move("bottom", "go to the end", draw.ToBottom, "G", "end"),
		{id: "details", keys: []string{"enter"}, short: "details", desc: "go from the list to the details", group: groupMove, in: inList, run: func(m *model) tea.Cmd { return m.goTo(m.tab) }},
		{id: "pane", keys: []string{"tab", "shift+tab"}, short: "pane", desc: "switch to the other pane", group: groupMove, in: onSandbox, run: (*model).otherPane},
		{id: "next-tab", keys: []string{"right", "l"}, desc: "next tab", group: groupMove, in: onSandbox, run: func(m *model) tea.Cmd { return m.sideways(1) }},
		{id: "previous-tab", keys: []string{"left", "h"}, desc: "previous tab; from the first tab, the list", group: groupMove, in: onSandbox, run: func(m *model) tea.Cmd { return m.sideways(-1) }},
		{id: "overview", keys: []string{"1"}, desc: "show the overview", group: groupMove, in: onSandbox, run: func(m *model) tea.Cmd { return m.goTo(tabOverview) }},
		{id: "requests", keys: []string{"2"}, desc: "show the requests", group: groupMove, in: onSandbox, run: func(m *model) tea.Cmd { return m.goTo(tabRequests) }},
		{id: "previews", keys: []string{"3"}, desc: "show the previews", group: groupMove, in: onSandbox, run: func(m *model) tea.Cmd { return m.goTo(tabPreviews) }},
		{id: "logs", keys: []string{"4"}, desc: "show the logs", group: groupMove, in: onSandbox, run: (*model).toLogs},
		{id: "filter", keys: []string{"/"}, short: "filter", desc: "filter the focused list", group: groupMove, in: inList, run: func(m *model) tea.Cmd { return m.list.StartFilter() }},
	}
}

func programActions() []action {
	return []action{
		{id: "palette", keys: []string{":"}, desc: "run any action that applies here, by name", group: groupProgram, in: everywhere, run: (*model).openPalette},
		{id: "engine", keys: []string{"E"}, desc: "switch to another engine (docker context)", group: groupProgram, in: onSandbox, changes: true, run: (*model).openEngines},
		{id: "refresh", keys: []string{"R"}, desc: "refresh now and retry the engine", group: groupProgram, in: everywhere, run: (*model).refresh},
		{id: "mouse", keys: []string{"m"}, desc: "turn the mouse on or off (off: the terminal selects text)", group: groupProgram, in: everywhere, run: (*model).toggleMouse},
		{id: "help", keys: []string{"?"}, short: "help", desc: "show every key", group: groupProgram, in: everywhere, run: (*model).openHelp},
		{id: "back", keys: []string{"esc"}, desc: "go back; cancels the injection on screen", group: groupProgram, in: everywhere, run: (*model).back},
		{id: "quit", keys: []string{"q"}, short: "quit", desc: "quit (asks while an injection runs or a preview has open sockets)", group: groupProgram, in: everywhere, run: (*model).quit},
	}
}

// keymap is the table with the keys as they are configured.
type keymap struct {
	actions  []action
	readOnly bool
}

// newKeymap gives actions the keys that rebind names for them ("i, ctrl+n",
// "none" for no key). The error names every action that does not exist, every
// key that no terminal sends, and every key that two actions would share in one
// place.
func newKeymap(rebind map[string]string, readOnly bool) (keymap, error) {
	k := keymap{actions: actions(), readOnly: readOnly}
	var wrong []string
	for id, keys := range rebind {
		i := slices.IndexFunc(k.actions, func(a action) bool { return a.id == id })
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("there is no action %q", id))
			continue
		}
		k.actions[i].keys = splitKeys(keys)
		for _, key := range k.actions[i].keys {
			if why := wrongKey(key); why != "" {
				wrong = append(wrong, id+": "+why)
			}
		}
	}
	for i, a := range k.actions {
		for _, b := range k.actions[:i] {
			_, aSet := rebind[a.id]
			_, bSet := rebind[b.id]
			// What shares a key by default is told apart by when it makes sense.
			if a.in&b.in == 0 || !aSet && !bSet {
				continue
			}
			for _, key := range a.keys {
				if slices.Contains(b.keys, key) {
					wrong = append(wrong, fmt.Sprintf("%q is the key of both %q and %q", key, b.id, a.id))
				}
			}
		}
	}
	if wrong != nil {
		slices.Sort(wrong)
		return k, fmt.Errorf("keys: %s", strings.Join(wrong, "; "))
	}
	return k, nil
}

// CheckKeys says what is wrong with other keys for actions: names that no
// action has, keys that no terminal sends, and keys that two actions would
// share in one place.
func CheckKeys(rebind map[string]string) error {
	_, err := newKeymap(rebind, false)
	return err
}

func splitKeys(s string) []string {
	if s == "" || s == "none" {
		return nil
	}
	keys := strings.Split(s, ",")
	for i := range keys {
		keys[i] = strings.TrimSpace(keys[i])
	}
	return keys
}

// meantKeys are names of keys for which terminals send those of others.
var meantKeys = map[string]string{"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+[": "esc", "ctrl+?": "backspace"}

// wrongKey says why a key can never be pressed; empty if it can.
func wrongKey(key string) string {
	switch meant, lower := meantKeys[strings.ToLower(key)], strings.ToLower(key); {
	case key == "ctrl+c":
		return `"ctrl+c" always quits`
	case isKey(key):
		return ""
	case meant != "":
		return fmt.Sprintf("%q is no key here: terminals send %q for it", key, meant)
	case isKey(lower):
		return fmt.Sprintf("%q is no key, %q is", key, lower)
	}
	return fmt.Sprintf("%q is no key: it takes one character or a name such as enter, space, pgup, f5, ctrl+n, alt+n", key)
}

// isKey says whether Bubble Tea has a message for a key of that name.
func isKey(key string) bool {
	if key == "space" {
		return true
	}
	key = strings.TrimPrefix(key, "alt+")
	if r, n := utf8.DecodeRuneInString(key); n == len(key) {
		return unicode.IsPrint(r) && r != utf8.RuneError
	}
	for t := tea.KeyF20; t <= tea.KeyBackspace; t++ {
		if t != tea.KeyRunes && t.String() == key {
			return true
		}
	}
	return false
}

// find is the action of a key at a place.
func (k keymap) find(m *model, key string, at place) *action {
	for i := range k.actions {
		a := &k.actions[i]
		if a.in&at != 0 && slices.Contains(a.keys, key) && (a.when == nil || a.when(m)) {
			return a
		}
	}
	return nil
}

func (k keymap) byID(id string) *action {
	for i := range k.actions {
		if k.actions[i].id == id {
			return &k.actions[i]
		}
	}
	return nil
}

// forFooter is the table with what the pane in focus is about in front.
func (k keymap) forFooter(at place) []*action {
	first := map[place]string{inPreviews: groupPreviews, inRequests: groupRequests, inInspector: groupRequests, inLogs: groupRequests}[at]
	var out, rest []*action
	for i := range k.actions {
		if a := &k.actions[i]; a.group == first {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(out, rest...)
}

// key is the first key of an action, for texts.
func (k keymap) key(id string) string {
	if a := k.byID(id); a != nil && len(a.keys) > 0 {
		return a.keys[0]
	}
	return ":" + id
}

// usable says whether an action can be run at a place now.
func (k keymap) usable(m *model, a *action, at place) bool {
	return a.in&at != 0 && (!k.readOnly || !a.changes) && (a.when == nil || a.when(m))
}

// about is what an action would be about now; nil: no one thing.
func (m *model) about(a *action) any {
	switch {
	case a.about != nil:
		return a.about(m)
	case a.group == groupSandbox, a.group == groupPreviews:
		return m.list.Selected
	}
	return nil
}

// run runs an action, unless --read-only took it away, or it has become
// pointless since it was offered.
func (k keymap) run(m *model, a *action) tea.Cmd {
	if k.readOnly && a.changes {
		return m.fail("not in read-only mode: "+a.desc, "start without --read-only")
	}
	if !k.usable(m, a, m.place()) {
		return m.tell(cmp.Or(m.whyNot(a), a.id+" does not apply here now"))
	}
	if a.group == groupSandbox || a.group == groupPreviews {
		m.list.Confirm()
	}
	return a.run(m)
}
