package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

// View implements tea.Model. Bubble Tea calls it after every message; the screen
// is redrawn only if something changed.
func (m *model) View() string {
	if m.frame == "" && m.width > 0 && m.height > 0 {
		m.frame = strings.Join(m.draw(), "\n")
	}
	return m.frame
}

// draw returns the screen: height lines of width cells.
func (m *model) draw() []string {
	l := m.Look
	if m.layout.small && m.quitter.asking() {
		return m.finish([]string{"y quit  n stay", m.quitter.question.Lines[0]})
	}
	if m.layout.small && m.quitter.leaving {
		return m.finish([]string{dialog.UndoingWords + l.Glyph.Ellipsis})
	}
	if m.layout.small {
		return m.finish([]string{fmt.Sprintf("needs %d×%d, is %d×%d", leastWidth, leastHeight, m.width, m.height)})
	}
	lines := []string{m.head.line()}
	if m.place() == inInspector {
		lines = append(lines, m.requests().Inspector.View(m.width, m.height-3)...)
	} else {
		lines = append(lines, m.body()...)
	}
	if m.outage.is() { // as last seen
		for i, line := range lines[1:] {
			lines[1+i] = l.Ink.Dim.Paint(ansi.Strip(line))
		}
	}
	note := m.noteLines()
	lines = append(lines[:len(lines)-len(note)+1], note...)
	lines = append(lines, m.footer())
	for _, o := range m.overlays {
		if whole, ok := o.(interface{ Whole() bool }); ok && whole.Whole() {
			lines = l.Fill(o.View(m.width, m.height), m.width, m.height)
			if m.notes.note.text != "" { // instead of the keys
				lines[len(lines)-1] = m.noteLines()[0]
			}
			continue
		}
		box := o.View(m.width-4, m.height-4)
		w := 0
		for _, s := range box {
			w = max(w, text.Width(s))
		}
		lines = l.Over(lines, box, (m.width-w)/2, max(1, (m.height-len(box))/2))
	}
	return m.finish(lines)
}

// noteLines returns the note, with the keys for a port that has just opened.
func (m *model) noteLines() []string {
	offer := ""
	if m.news.shown() && !m.World.ReadOnly() {
		offer = fmt.Sprintf("   %s preview   %s open", m.Key("new-preview"), m.Key("open-new-port"))
	}
	return m.notes.lines(m.width, offer, m.Key)
}

func (m *model) body() []string {
	list := m.box(m.list, m.head.listTitle(), m.layout.list, m.listFocused)
	detail := m.box(m.front(), m.head.detailTitle(), m.layout.detail, !m.listFocused)
	if list == nil {
		return detail
	}
	for i := range detail {
		list[i] += detail[i]
	}
	return list
}

// inASCII replaces characters of texts by ASCII.
var inASCII = strings.NewReplacer("×", "x", "←", "<", "→", ">", "↑", "^", "↓", "v")

// finish fits every line to the width, and converts it to ASCII if required.
func (m *model) finish(lines []string) []string {
	if m.ASCII {
		for i := range lines {
			lines[i] = text.ASCII(inASCII.Replace(lines[i]))
		}
	}
	return m.Fill(lines, m.width, m.height)
}

func (m *model) box(p pane.Pane, title string, r rect, focused bool) []string {
	if r.w == 0 {
		return nil
	}
	foot := ""
	if p, ok := p.(pane.Footed); ok {
		foot = p.Foot()
	}
	return m.Box(title, foot, p.View(focused), r.w, r.h, focused)
}

// footer shows the keys that work on what is in focus, as many as fit.
func (m *model) footer() string {
	l, at := m.Look, m.place()
	switch {
	case len(m.overlays) > 0: // it names its own
		return ""
	case pane.IsTyping(m.inFocus()):
		return " " + l.Ink.Key.Paint("enter") + " keep  " + l.Ink.Key.Paint("esc") + " clear"
	}
	out := ""
	last := " " + l.Ink.Key.Paint(m.Key("help")) + " help  " + l.Ink.Key.Paint(m.Key("quit")) + " quit "
	most := 99
	if !m.layout.wide && at != inInspector {
		most = 4
	}
	for _, a := range m.dispatch.forFooter(at) {
		if a.short == "" || len(a.keys) == 0 || a.id == "help" || a.id == "quit" || most == 0 ||
			!m.dispatch.usable(a, at) || a.offered != nil && !a.offered() {
			continue
		}
		part := " " + l.Ink.Key.Paint(format.Keys(a.keys[:1])) + " " + a.short + " "
		if text.Width(out)+text.Width(part)+text.Width(last) > m.width {
			break
		}
		out += part
		most--
	}
	return l.Fit(out+last, m.width)
}
