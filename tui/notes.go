package tui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// note is the line above the footer: a success for some seconds, or an error until
// a key is pressed.
type note struct {
	text    string
	try     string
	failed  bool
	neutral bool // neither done nor failed
}

// notes has the current note, and the running work that is shown without one.
type notes struct {
	look    *draw.Look
	log     *slog.Logger
	changed func()
	doubt   func(err error) tea.Cmd // is called with what an action failed with

	note  note
	age   int      // number of the current note, for its timer
	works []string // running work, the latest last
}

// noteStays is how long a note stays, unless it is an error.
const noteStays = 5 * time.Second

type noteOverMsg int

type (
	// workMsg begins work that may take longer than a note stays; workedMsg is its
	// end, with its outcome.
	workMsg struct {
		words string
		cmd   tea.Cmd
	}
	workedMsg struct {
		words string
		msg   tea.Msg
	}
)

// working runs cmd, whose one message is its outcome; until then it shows words
// when there is no other note.
func working(words string, cmd tea.Cmd) tea.Cmd {
	return func() tea.Msg { return workMsg{text.Clean(words), cmd} }
}

// expire removes a note when its time is over.
func (n *notes) expire(age noteOverMsg) {
	if int(age) == n.age && !n.note.failed {
		n.note = note{}
	}
}

// dismiss removes an error and reports whether there was one.
func (n *notes) dismiss() bool {
	if !n.note.failed {
		return false
	}
	n.note = note{}
	return true
}

func (n *notes) end(words string) {
	if i := slices.Index(n.works, words); i >= 0 {
		n.works = slices.Delete(n.works, i, i+1)
	}
}

// mostNoteLines is how many lines an error may take.
const mostNoteLines = 4

// say shows a success, unless an error is still shown.
func (n *notes) say(s string) tea.Cmd {
	if s == "" || n.note.failed {
		return nil
	}
	n.changed()
	n.note = note{text: text.Clean(s)}
	n.age++
	age := n.age
	return tea.Tick(noteStays, func(time.Time) tea.Msg { return noteOverMsg(age) })
}

// tell is say for a neutral note.
func (n *notes) tell(s string) tea.Cmd {
	cmd := n.say(s)
	n.note.neutral = cmd != nil
	return cmd
}

// fail shows an error and the next thing to try.
func (n *notes) fail(what, try string) tea.Cmd {
	n.changed()
	what = strings.ReplaceAll(strings.TrimSpace(what), "\n", " "+n.look.Glyph.Dot+" ")
	n.note = note{text: text.Clean(what), try: text.Clean(try), failed: true}
	return nil
}

// failWith shows the error of an action and keeps its full text in the log.
func (n *notes) failWith(action string, err error) tea.Cmd {
	if isCancelled(err) {
		return n.say(action + ": cancelled, nothing is kept")
	}
	n.log.Error("an action failed", "action", action, "error", err)
	what, try := format.Explain(err)
	return tea.Batch(n.fail(action+": "+what, try), n.doubt(err))
}

// failToList is failWith for what nobody asked for. That the core is not reachable
// is not repeated here: the header shows it for as long as it is true.
func (n *notes) failToList(what string, err error) tea.Cmd {
	if errors.Is(err, &api.Problem{Code: api.CodeCoreUnreachable}) || errors.Is(err, context.DeadlineExceeded) {
		n.log.Warn("the core does not answer", "action", what, "error", err)
		return n.doubt(err)
	}
	return n.failWith(what, err)
}

func (n *notes) begin(msg workMsg) tea.Cmd {
	n.works = append(n.works, msg.words)
	return func() tea.Msg { return workedMsg{msg.words, msg.cmd()} }
}

// lines returns the lines of the note. The last is shown above the footer; more
// lines of an error cover the panes.
func (n *notes) lines(width int, offer string, key func(string) string) []string {
	l, note := n.look, n.note
	switch {
	case note.text == "" && len(n.works) > 0:
		return []string{" " + l.Ink.Busy.Paint(l.Glyph.Busy) + " " + n.works[len(n.works)-1]}
	case note.text == "":
		return []string{""}
	case note.neutral:
		return []string{" " + l.Ink.Busy.Paint(l.Glyph.Warn) + " " + note.text}
	case !note.failed:
		return []string{" " + l.Ink.Good.Paint(l.Glyph.Done) + " " + note.text + offer}
	}
	lines := text.Wrap(note.text, width-4)
	try := fmt.Sprintf("(%s: full log)", key("logs"))
	if note.try != "" {
		try = "try: " + note.try
	}
	if last := len(lines) - 1; text.Width(lines[last])+text.Width(try)+7 < width {
		lines[last] += "   " + try
		lines = l.Shorten(lines, mostNoteLines, width-4)
	} else {
		tries := l.Shorten(text.Wrap(try, width-4), max(mostNoteLines/2, mostNoteLines-len(lines)), width-4)
		lines = append(l.Shorten(lines, mostNoteLines-len(tries), width-4), tries...)
	}
	for i := range lines {
		mark := "  "
		if i == 0 {
			mark = l.Glyph.Bad + " "
		}
		lines[i] = l.Fit(" "+l.Ink.Bad.Paint(mark+lines[i]), width)
	}
	return lines
}

// isCancelled reports whether err is a requested cancellation, not a deadline.
func isCancelled(err error) bool {
	return !errors.Is(err, context.DeadlineExceeded) &&
		(errors.Is(err, context.Canceled) || errors.Is(err, &api.Problem{Code: api.CodeCancelled}))
}
