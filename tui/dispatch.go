package tui

import (
	"cmp"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

// runMsg requests an action by its name; the palette sends it, with the subject
// of the action when it was offered.
type runMsg struct {
	action string
	about  any
}

// dispatcher runs the actions of the table.
type dispatcher struct {
	*ui
	keymap
}

func (d *dispatcher) mouseKeys() []string { return d.byID("mouse").keys }

// about returns the current subject of an action; nil: none in particular.
func (d *dispatcher) about(a *action) any {
	switch {
	case a.about != nil:
		return a.about()
	case a.group == groupSandbox, a.group == groupPreviews:
		return d.list.Selected
	}
	return nil
}

// runOffered runs an action of the palette on the subject for which it was
// offered. It selects the request again if newer ones arrived; if another subject
// has changed, it does nothing.
func (d *dispatcher) runOffered(msg runMsg) tea.Cmd {
	a := d.byID(msg.action)
	if a == nil {
		return nil
	}
	if id, isRequest := msg.about.(uint64); isRequest {
		d.requests().Select(id)
	}
	if d.about(a) != msg.about {
		return d.notes.tell(a.id + ": selection changed; nothing was done")
	}
	return d.run(a)
}

func (d *dispatcher) openHelp() tea.Cmd {
	d.overlays.push(&help{look: d.Look, keys: d.keymap, readOnly: d.World.ReadOnly()})
	return nil
}

// openPalette lists the actions that can be run now; the help lists all.
func (d *dispatcher) openPalette() tea.Cmd {
	at := d.place()
	var choices []dialog.Choice
	for _, a := range d.table {
		if a.group != groupMove && d.usable(a, at) {
			offer := runMsg{a.id, d.about(a)}
			choices = append(choices, dialog.Choice{Words: a.id, About: a.desc, Right: format.Keys(a.keys),
				Then: func() tea.Msg { return offer }})
		}
	}
	d.overlays.push(dialog.NewPicker(d.Look, "Actions", choices))
	return nil
}

// openEngines shows the engines.
func (d *dispatcher) openEngines() tea.Cmd {
	d.overlays.push(newChooser(d.ui))
	return request(d.do, pane.Quick, d.do.backend.Engines)
}

func (d *dispatcher) inVain(key string) tea.Cmd {
	at := d.place()
	for _, a := range d.table {
		if a.in&at != 0 && slices.Contains(a.keys, key) && d.whyNot(a) != "" {
			return d.notes.tell(d.whyNot(a))
		}
	}
	return nil
}

// whyNot returns why an action cannot be run now; empty if there is no text for it.
func (d *dispatcher) whyNot(a *action) string {
	s, ok := d.selected()
	name := d.Named(s.Ref)
	switch {
	case a.id == "demo":
		return "no engine answers that could run the demo"
	case a.id == "inspect", a.id == "copy-curl", a.id == "replay":
		return "there is no request here"
	case a.group != groupSandbox && a.group != groupPreviews:
		return ""
	case !ok:
		return "no sandbox is chosen"
	case a.group == groupPreviews && a.id != "open-new-port":
		return fmt.Sprintf("%s has no preview: %s creates one", name, d.key("new-preview"))
	case a.id == "inject" && (s.Daemon.State == api.DaemonHealthy || s.IsHost()):
		return "a daemon is already running: " + name
	case a.id == "inject" && (s.Daemon.State == api.DaemonInjecting || d.World.Injecting(s.Ref)):
		return "an injection is already running: " + name
	case a.id == "stop-daemon" && !world.HasDaemon(s):
		return "no daemon runs: " + name
	case a.id == "stop-daemon":
		return "this program did not start the daemon, so it does not stop it: " + name
	case a.group == groupSandbox && s.IsHost():
		return name + " is not a container"
	case a.group == groupSandbox && s.Container != api.ContainerRunning:
		return fmt.Sprintf("the container %s: %s", format.Container(s), format.StartHint(s, d.key))
	}
	return ""
}

// formWants runs an action for a form if the form's sandbox is still selected.
func (d *dispatcher) formWants(msg form.ActionMsg) tea.Cmd {
	if msg.Closes {
		d.overlays.close(msg.Form)
	}
	a := d.byID(msg.Action)
	if a == nil || msg.Ref != d.list.Selected || a.when != nil && !a.when() {
		return nil
	}
	return d.run(a)
}

// usable reports whether an action can be run at a place now.
func (d *dispatcher) usable(a *action, at place) bool {
	frozen := a.changes && (d.World.ReadOnly() || d.outage.is())
	return a.in&at != 0 && !frozen && (a.when == nil || a.when())
}

// run runs an action, unless it is excluded or has become unusable since it was
// offered.
func (d *dispatcher) run(a *action) tea.Cmd {
	switch {
	case !a.changes:
	case d.World.Status().ReadOnly:
		return d.notes.fail("not on a read-only core: "+a.desc, "start the core without server.read_only")
	case d.World.ReadOnly():
		return d.notes.fail("not in read-only mode: "+a.desc, "start without --read-only")
	case d.outage.is():
		return d.notes.fail(d.coreName()+" is not reachable: nothing can be changed now", d.Key("refresh")+" tries it now")
	}
	if !d.usable(a, d.place()) {
		return d.notes.tell(cmp.Or(d.whyNot(a), a.id+" does not apply here now"))
	}
	if a.group == groupSandbox || a.group == groupPreviews {
		d.list.Confirm()
	}
	return a.run()
}
