package tui

import (
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/text"
)

// note is the line above the footer: good news for some seconds, or an error
// until a key is pressed.
type note struct {
	text   string
	try    string
	failed bool
}

// noteStays is how long good news stays.
const noteStays = 5 * time.Second

// noteOverMsg says that the time of a note is over; it is the note's age.
type noteOverMsg int

// say shows good news, unless an error is there that nobody has seen yet.
func (m *model) say(s string) tea.Cmd {
	if s == "" || m.note.failed {
		return nil
	}
	m.changed()
	m.note = note{text: text.Clean(s)}
	m.noteAge++
	age := m.noteAge
	return tea.Tick(noteStays, func(time.Time) tea.Msg { return noteOverMsg(age) })
}

// fail shows an error and the next thing to try.
func (m *model) fail(what, try string) tea.Cmd {
	m.changed()
	what = strings.ReplaceAll(strings.TrimSpace(what), "\n", " "+m.look.glyph.Dot+" ")
	m.note = note{text: text.Clean(what), try: text.Clean(try), failed: true}
	return nil
}

// failWith shows the error of an action and keeps its full text in the log.
func (m *model) failWith(action string, err error) tea.Cmd {
	if isCancelled(err) {
		return m.say(action + ": cancelled, nothing is kept")
	}
	m.log.Error("an action failed", "action", action, "error", err)
	what, try := explain(err)
	return m.fail(action+": "+what, try)
}

func (m *model) statusLine() string {
	l, n := m.look, m.note
	switch {
	case n.text == "":
		return ""
	case !n.failed:
		return " " + l.ink.Good.Paint(l.glyph.Done) + " " + n.text
	}
	s := n.text
	if n.try != "" {
		s += fmt.Sprintf("   try: %s", n.try)
	} else {
		s += fmt.Sprintf("   (%s: full log)", m.keys.key("logs"))
	}
	return " " + l.ink.Bad.Paint(l.glyph.Bad+" "+s)
}
