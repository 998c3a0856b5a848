package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
)

func TestTheSandboxOfTheLastQuitIsChosenOnceItIsFound(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tui.json")
	kept := func(o *Options) { o.StateFile = file }
	before := loaded(t, newFake(), 120, 40, kept)
	before.press("down", "down")
	require.Equal(t, webRef, before.m.list.Selected)
	require.NoError(t, before.m.saveUIState())

	f := newFake()
	all := f.sandboxes
	f.sandboxes, f.exchanges = f.sandboxes[:1], nil // containers are listed after the machine
	s := loaded(t, f, 120, 40, kept)
	require.NoError(t, s.m.saveUIState(), "somebody quits at once")
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &all[1]})
	s.until("the default one is there", func() bool { return s.m.list.Selected == boxRef })
	for i := range all[2:] {
		f.push(api.Event{Kind: api.EventSandbox, Sandbox: &all[2+i]})
	}
	s.until("it is chosen", func() bool { return s.m.list.Selected == webRef })
	require.Equal(t, webRef, loadUIState(file).Sandbox, "it was kept")
}

func TestARecreatedContainerStaysChosen(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("down", "down")
	web, _ := s.m.selected()
	recreate := func(meanwhile func()) {
		s.f.push(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: webRef}})
		s.hides("○ web ")
		require.NotEqual(t, webRef, s.m.list.Selected)
		meanwhile()
		s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &web})
		s.shows("○ web ")
	}
	recreate(func() {})
	require.Equal(t, webRef, s.m.list.Selected)
	recreate(func() { s.press("1") })
	require.NotEqual(t, webRef, s.m.list.Selected, "somebody was at another already")
	for _, button := range []tea.MouseButton{tea.MouseButtonLeft, tea.MouseButtonWheelUp} {
		s.m.list.Select(webRef)
		recreate(func() { s.point(button, "my-sandbox") })
		require.NotEqual(t, webRef, s.m.list.Selected, "the mouse chooses too")
	}
}

func TestACursorThatPassesAsksForNoPorts(t *testing.T) {
	t.Parallel()
	inProcess(t, "the clock is made up")
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { <-time.After(2 * time.Minute) }) // timers that have begun end
		s := loaded(t, crowd(500, 0), 120, 40, nil)
		before := len(s.f.calls("Ports"))
		for range 100 {
			s.press("down")
			s.pass(portsAfter / 2)
		}
		last := s.m.list.Selected.Name
		s.pass(portsAfter)
		told, asked := s.f.calls("Watch"), s.f.calls("Ports")
		require.Contains(t, told[len(told)-1], last)
		require.Len(t, asked, before+1)
		require.Contains(t, asked[before], last)
	})
}

func TestALateAnswerOfTheTerminalPressesNoKeys(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("2")
	s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("11;rgb:1e1e/1e1e/2e2e")})
	require.Equal(t, tabRequests, s.m.tab)
	s.nothingOver()
}

func TestATinyWindowAsksToQuitToo(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.injects(webRef)
	s.send(tea.WindowSizeMsg{Width: 40, Height: 5})
	s.press("q")
	s.shows("y quit  n stay", "1 injection runs")
	s.press("n")
	s.shows("needs 60×15")
	s.press("q", "y")
	s.until("it quits", func() bool { return s.quit })
}

func TestATerminalThatDoesNotKnowItsSizeIsDrawnOn(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 0, 0, nil)
	s.shows("my-sandbox")
	require.Equal(t, [2]int{80, 24}, [2]int{s.m.width, s.m.height})
}

func TestWhereTheFilterHidesAllNothingIsChosen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tui.json")
	require.NoError(t, os.WriteFile(file,
		[]byte(`{"sandbox":{"engine":"default","name":"web"},"filter":"web","tab":2}`), 0o600))
	f := noDocker()
	f.links = []api.Link{{ID: "m", Token: "mmmmaaaa", URL: "http://localhost:8080/preview/mmmmaaaa", Port: 5173,
		Sandbox: api.Host, SandboxName: "host", State: "active"}}
	s := loaded(t, f, 120, 40, func(o *Options) { o.StateFile = file })
	s.shows("nothing matches", "1 hidden, esc shows all", "Nothing in the list matches its filter",
		"permission denied", "try: sudo usermod")
	lines := strings.Split(s.text(), "\n")
	footer := lines[len(lines)-1]
	for _, key := range []string{"o open", "y copy", "d revoke", "n preview", "i inject"} {
		require.NotContains(t, footer, key)
	}
	s.press("y", "o", "d", "n", "i")
	s.nothingOver()
	require.Empty(t, s.copied.get())
	require.Empty(t, s.opened.get())
	require.NoError(t, s.m.saveUIState())
	require.Equal(t, "web", loadUIState(file).Sandbox.Name, "it is still wanted")
	s.press("esc")
	require.Equal(t, api.Host, s.m.list.Selected)
	s.shows("port 5173 of host")
}

func TestAFilterThatIsTakenBackBringsTheChoiceBack(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("down", "down")
	require.Equal(t, webRef, s.m.list.Selected)
	s.press("/")
	s.word("wex")
	require.Equal(t, api.Ref{}, s.m.list.Selected)
	s.shows("Nothing in the list matches its filter")
	s.press("backspace", "enter")
	require.Equal(t, webRef, s.m.list.Selected)
	require.Contains(t, s.text(), "/ we  5 hidden, esc shows all")
}

func TestWhatSomebodyWorksAtStaysChosen(t *testing.T) {
	t.Parallel()
	works := map[string]func(m *model){
		"a tab":     func(m *model) { press(m, "2") },
		"enter":     func(m *model) { press(m, "enter") },
		"sideways":  func(m *model) { press(m, "right") },
		"the pane":  func(m *model) { press(m, "tab") },
		"an action": func(m *model) { press(m, "n") },
		"a click": func(m *model) {
			m.Update(tea.MouseMsg{X: 100, Y: 20, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft})
		},
	}
	for what, work := range works {
		f := onlyTheMachine()
		m := still(t, 120, 40, f, nil)
		m.list.Select(webRef) // of the last quit
		work(m)
		for _, s := range newFake().sandboxes[1:] {
			m.Update(pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &s}})
		}
		require.Equal(t, api.Host, m.list.Selected, what)
	}

	looking := onlyTheMachine()
	looking.engine.State = "connecting"
	m := still(t, 120, 40, looking, nil)
	press(m, "2")
	m.Update(pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &newFake().sandboxes[1]}})
	require.Equal(t, boxRef, m.list.Selected, "nobody chose the machine while containers were looked for")
}

// press sends a key and does nothing of what it asks for.
func press(m *model, key string) {
	msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
	if named, ok := namedKeys[key]; ok {
		msg = tea.KeyMsg{Type: named}
	}
	m.Update(msg)
}

func TestTheFootCountsSandboxes(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	m.list.Show(api.Ref{}, 40, 7, true)
	require.Equal(t, "1 of 6", ansi.Strip(m.list.Foot()))
	m.list.Move(draw.ToBottom)
	require.Equal(t, "6 of 6", ansi.Strip(m.list.Foot()))
}
