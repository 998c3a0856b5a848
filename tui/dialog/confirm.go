// Package dialog has overlays: questions, texts, and lists to choose from.
package dialog

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// Confirm asks before something is done. "No" is focused, and no letter is an
// answer unless one is set.
type Confirm struct {
	Look    *draw.Look
	Title   string
	Lines   []string
	Yes, No string
	Then    tea.Cmd
	// YesKey and NoKey are letters that answer immediately; empty: none.
	YesKey, NoKey string
	onYes         bool
	top           int // the first visible line of a text that is too long
}

// HandleKey implements an overlay.
func (c *Confirm) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	name := key.String()
	switch name {
	case "": // do not match letters that are not set
	case c.YesKey:
		return c.Then, true
	case c.NoKey, "esc", "q":
		return nil, true
	case "left", "right", "tab", "shift+tab":
		c.onYes = !c.onYes
	case "up", "pgup":
		c.top--
	case "down", "pgdown":
		c.top++
	case "enter":
		if c.onYes {
			return c.Then, true
		}
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
		lines = append(lines, text.Indent(text.Wrap(text.Clean(s), width-4), " ")...)
	}
	// The buttons are always visible; a text that is too long is scrolled.
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
