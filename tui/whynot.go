package tui

import (
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// inVain answers a key that has an action here which makes no sense now.
func (m *model) inVain(key string) tea.Cmd {
	at := m.place()
	for i := range m.keys.actions {
		a := &m.keys.actions[i]
		if a.in&at == 0 || !slices.Contains(a.keys, key) {
			continue
		}
		if why := m.whyNot(a); why != "" {
			return m.tell(why)
		}
	}
	return nil
}

// whyNot is why an action makes no sense now, as far as there are words for it.
func (m *model) whyNot(a *action) string {
	s, ok := m.chosen()
	name := text.Clean(s.String())
	if s.IsHost() {
		name = "this machine"
	}
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
		return fmt.Sprintf("no preview of %s is there: %s makes one", name, m.keys.key("new-preview"))
	case a.id == "inject" && (s.Daemon.State == api.DaemonHealthy || s.IsHost()):
		return "a daemon answers already: " + name
	case a.id == "inject" && (s.Daemon.State == api.DaemonInjecting || m.world.Injecting(s.Ref)):
		return "an injection runs already: " + name
	case a.id == "stop-daemon" && !world.HasDaemon(s):
		return "no daemon runs: " + name
	case a.id == "stop-daemon":
		return "this program did not start the daemon, so it does not stop it: " + name
	case a.group == groupSandbox && s.IsHost():
		return "this machine is not a container"
	case a.group == groupSandbox && s.Container != api.ContainerRunning:
		return fmt.Sprintf("the container %s: %s", format.Container(s), format.StartHint(s, m.keys.key))
	}
	return ""
}
