package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// overlay lies over the panes and gets every key while it is there.
type overlay interface {
	// HandleKey says whether the overlay is done with.
	HandleKey(key tea.KeyMsg) (cmd tea.Cmd, done bool)
	HandleMsg(msg tea.Msg) tea.Cmd
	// View is a box of at most width × height, its frame included.
	View(width, height int) []string
}

// confirm asks before something is done. No is in focus; letters do not
// confirm unless they are given.
type confirm struct {
	look    *draw.Look
	title   string
	lines   []string
	yes, no string
	run     tea.Cmd
	// yesKey and noKey are letters that answer at once; empty: there are none.
	yesKey, noKey string
	onYes         bool
	top           int // the first line that is seen, where there is not room for all
}

func (c *confirm) HandleMsg(tea.Msg) tea.Cmd { return nil }

func (c *confirm) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	name := key.String()
	switch name {
	case "": // no key has that name, but letters that are not given have
	case c.yesKey:
		return c.run, true
	case c.noKey:
		return nil, true
	case "left", "right", "tab", "shift+tab":
		c.onYes = !c.onYes
	case "up", "pgup":
		c.top--
	case "down", "pgdown":
		c.top++
	case "enter":
		if c.onYes {
			return c.run, true
		}
		return nil, true
	case "esc", "q":
		return nil, true
	}
	return nil, false
}

func (c *confirm) View(width, height int) []string {
	l := c.look
	button := func(s, key string, focused bool) string {
		if key != "" {
			s = key + " " + s
		}
		if focused {
			return l.Ink.Cursor.Paint(l.Glyph.Cursor + " " + s + " ")
		}
		return "  " + s + " "
	}
	width = min(width, 74)
	var lines []string
	for _, s := range c.lines {
		for _, part := range text.Wrap(text.Clean(s), width-4) {
			lines = append(lines, " "+part)
		}
	}
	// The buttons stay, whatever the room; the text is scrolled where there is too little.
	foot := ""
	if rows := max(1, height-4); len(lines)+1 > rows {
		foot = l.Ink.Dim.Paint(format.Keys([]string{"up"}) + format.Keys([]string{"down"}) + " more")
		c.top = max(0, min(c.top, len(lines)-rows))
		lines = lines[c.top:min(len(lines), c.top+rows)]
	} else {
		lines = append([]string{""}, lines...)
	}
	buttons := button(c.no, c.noKey, !c.onYes) + "  " + button(c.yes, c.yesKey, c.onYes)
	lines = append(lines, "", " "+buttons+l.Ink.Dim.Paint("   "+format.Keys([]string{"left"})+format.Keys([]string{"right"})+" enter"))
	return l.Box(l.Ink.Title.Paint(text.Clean(c.title)), foot, lines, width, min(height, len(lines)+2), true)
}

// shown is a text that is shown whole until it is closed, a URL above all. It
// may be the only place where that can be read, so that no key closes it by
// chance, and the mouse can be turned off to select it.
type shown struct {
	look         *draw.Look
	title, intro string
	whole        string
	mouse        []string // the keys that turn the mouse on and off
}

func (s *shown) HandleMsg(tea.Msg) tea.Cmd { return nil }

func (s *shown) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch name := format.KeyName(key); {
	case name == "esc" || name == "enter" || name == "q":
		return nil, true
	case slices.Contains(s.mouse, name):
		return func() tea.Msg { return runMsg{action: "mouse"} }, false
	}
	return nil, false
}

func (s *shown) View(width, height int) []string {
	l := s.look
	lines := []string{""}
	for _, part := range text.Wrap(s.intro, width-4) {
		lines = append(lines, " "+part)
	}
	lines = append(lines, "")
	// A terminal joins what is selected over lines that are full.
	for _, part := range strings.Split(ansi.Hardwrap(s.whole, width-4, true), "\n") {
		lines = append(lines, " "+l.Ink.Accent.Paint(part))
	}
	foot := "esc closes"
	if len(s.mouse) > 0 {
		foot += "   " + format.Keys(s.mouse[:1]) + " mouse on or off"
	}
	return l.Box(l.Ink.Title.Paint(s.title), l.Ink.Dim.Paint(foot), append(lines, ""), width, min(height, len(lines)+3), true)
}

// undoing lies there while the injections are undone, before the UI ends.
type undoing struct{ look *draw.Look }

const undoingWords = "undoing the injection"

func (u *undoing) HandleMsg(tea.Msg) tea.Cmd { return nil }

func (u *undoing) HandleKey(tea.KeyMsg) (tea.Cmd, bool) { return nil, false }

func (u *undoing) View(width, height int) []string {
	l := u.look
	lines := []string{"", " " + undoingWords + l.Glyph.Ellipsis, ""}
	return l.Box(l.Ink.Title.Paint("Quit"), l.Ink.Dim.Paint("ctrl+c quits at once"), lines, min(width, 74), min(height, len(lines)+2), true)
}

// help is every key, by group.
type help struct {
	look *draw.Look
	keys keymap
	top  int
}

func (m *model) openHelp() tea.Cmd {
	m.push(&help{look: m.look, keys: m.keys})
	return nil
}

func (h *help) HandleMsg(tea.Msg) tea.Cmd { return nil }

func (h *help) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch key.String() {
	case "up", "k":
		h.top--
	case "down", "j":
		h.top++
	case "pgup":
		h.top -= 10
	case "pgdown", " ":
		h.top += 10
	case "home", "g":
		h.top = 0
	case "end", "G":
		h.top = 1 << 20
	default:
		return nil, true
	}
	return nil, false
}

// entry is one action; what it does takes as many lines as it needs.
func (h *help) entry(a *action, width int) []string {
	l, key, desc := h.look, format.Keys(a.keys), a.desc
	away := h.keys.readOnly && a.changes
	if away {
		desc += " (not in read-only mode)"
	}
	lines := text.Wrap(desc, max(10, width-20))
	for i := range lines {
		line := "  " + l.Ink.Key.Paint(l.Fit(key, 14)) + " " + lines[i]
		if key = ""; away {
			line = l.Ink.Dim.Paint(ansi.Strip(line))
		}
		lines[i] = line
	}
	return lines
}

func (h *help) View(width, height int) []string {
	l := h.look
	width = min(width, 84)
	var lines []string
	for _, group := range groups() {
		lines = append(lines, l.Ink.Title.Paint(group))
		for _, a := range h.keys.actions {
			if a.group != group {
				continue
			}
			lines = append(lines, h.entry(&a, width)...)
		}
		lines = append(lines, "")
	}
	lines = append(lines, l.Ink.Title.Paint("Mouse"), "  wheel scrolls, a click chooses; shift+drag selects text in most terminals")
	rows := min(height, len(lines)+2) - 2
	h.top = max(0, min(h.top, len(lines)-rows))
	foot := "esc closes"
	if rows < len(lines) {
		foot = format.Keys([]string{"up"}) + format.Keys([]string{"down"}) + " more   " + foot
	}
	return l.Box(l.Ink.Title.Paint("Keys"), l.Ink.Dim.Paint(foot), lines[h.top:h.top+rows], width, rows+2, true)
}
