// Package dialog is what lies over the panes: questions, texts, and lists to
// pick from.
package dialog

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// Confirm is a question before something is done. "No" is in focus, and no
// letter answers unless one is set.
type Confirm struct {
	Look    *draw.Look
	Title   string
	Lines   []string
	Yes, No string
	Run     tea.Cmd
	// YesKey and NoKey are letters that answer at once; empty for none.
	YesKey, NoKey string
	onYes         bool
	top           int // the first visible line, if there is not room for all
}

// HandleMsg implements an overlay.
func (c *Confirm) HandleMsg(tea.Msg) tea.Cmd { return nil }

// HandleKey implements an overlay.
func (c *Confirm) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	name := key.String()
	switch name {
	case "": // no key has that name, but letters that are not given have
	case c.YesKey:
		return c.Run, true
	case c.NoKey:
		return nil, true
	case "left", "right", "tab", "shift+tab":
		c.onYes = !c.onYes
	case "up", "pgup":
		c.top--
	case "down", "pgdown":
		c.top++
	case "enter":
		if c.onYes {
			return c.Run, true
		}
		return nil, true
	case "esc", "q":
		return nil, true
	}
	return nil, false
}

// View implements an overlay.
func (c *Confirm) View(width, height int) []string {
	l := c.Look
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
	for _, s := range c.Lines {
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
	buttons := button(c.No, c.NoKey, !c.onYes) + "  " + button(c.Yes, c.YesKey, c.onYes)
	lines = append(lines, "", " "+
		buttons+l.Ink.Dim.Paint("   "+format.Keys([]string{"left"})+format.Keys([]string{"right"})+" enter"))
	return l.Box(l.Ink.Title.Paint(text.Clean(c.Title)), foot, lines, width, min(height, len(lines)+2), true)
}
