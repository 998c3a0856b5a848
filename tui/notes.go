package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// note is the line above the footer: good news for some seconds, or an error
// until a key is pressed.
type note struct {
	text    string
	try     string
	failed  bool
	neutral bool // it is no news of something that was done
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

// tell is say for what is neither done nor failed.
func (m *model) tell(s string) tea.Cmd {
	cmd := m.say(s)
	m.note.neutral = cmd != nil
	return cmd
}

type (
	// workMsg begins work that may take longer than good news stays, workedMsg
	// is its end, with the message that it brought.
	workMsg struct {
		words string
		cmd   tea.Cmd
	}
	workedMsg struct {
		words string
		msg   tea.Msg
	}
)

// working runs cmd, whose one message is its outcome; until then words are shown
// wherever no other note is.
func working(words string, cmd tea.Cmd) tea.Cmd {
	return func() tea.Msg { return workMsg{text.Clean(words), cmd} }
}

func (m *model) work(msg workMsg) tea.Cmd {
	m.works = append(m.works, msg.words)
	return func() tea.Msg { return workedMsg{msg.words, msg.cmd()} }
}

func (m *model) worked(msg workedMsg) tea.Cmd {
	if i := slices.Index(m.works, msg.words); i >= 0 {
		m.works = slices.Delete(m.works, i, i+1)
	}
	return m.takeAnswer(msg.msg)
}

// fail shows an error and the next thing to try.
func (m *model) fail(what, try string) tea.Cmd {
	m.changed()
	what = strings.ReplaceAll(strings.TrimSpace(what), "\n", " "+m.look.Glyph.Dot+" ")
	m.note = note{text: text.Clean(what), try: text.Clean(try), failed: true}
	return nil
}

// failWith shows the error of an action and keeps its full text in the log.
func (m *model) failWith(action string, err error) tea.Cmd {
	if isCancelled(err) {
		return m.say(action + ": cancelled, nothing is kept")
	}
	m.log.Error("an action failed", "action", action, "error", err)
	what, try := format.Explain(err)
	return m.fail(action+": "+what, try)
}

// mostNoteLines is how much of the panes an error may cover.
const mostNoteLines = 4

// noteLines are the note on as many lines as an error needs; the last one has
// its place above the footer, the others cover the panes.
func (m *model) noteLines() []string {
	l, n := m.look, m.note
	switch {
	case n.text == "" && len(m.works) > 0:
		return []string{" " + l.Ink.Busy.Paint(l.Glyph.Busy) + " " + m.works[len(m.works)-1]}
	case n.text == "":
		return []string{""}
	case n.neutral:
		return []string{" " + l.Ink.Busy.Paint(l.Glyph.Warn) + " " + n.text}
	case !n.failed:
		line := " " + l.Ink.Good.Paint(l.Glyph.Done) + " " + n.text
		if m.portNewsShown() && !m.keys.readOnly {
			line += fmt.Sprintf("   %s preview   %s open", m.keys.key("new-preview"), m.keys.key("open-new-port"))
		}
		return []string{line}
	}
	lines := text.Wrap(n.text, m.width-4)
	try := fmt.Sprintf("(%s: full log)", m.keys.key("logs"))
	if n.try != "" {
		try = "try: " + n.try
	}
	if last := len(lines) - 1; text.Width(lines[last])+text.Width(try)+7 < m.width {
		lines[last] += "   " + try
		lines = l.Shorten(lines, mostNoteLines, m.width-4)
	} else {
		tries := l.Shorten(text.Wrap(try, m.width-4), max(mostNoteLines/2, mostNoteLines-len(lines)), m.width-4)
		lines = append(l.Shorten(lines, mostNoteLines-len(tries), m.width-4), tries...)
	}
	for i := range lines {
		mark := "  "
		if i == 0 {
			mark = l.Glyph.Bad + " "
		}
		lines[i] = l.Fit(" "+l.Ink.Bad.Paint(mark+lines[i]), m.width)
	}
	return lines
}
