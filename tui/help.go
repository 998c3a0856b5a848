package tui

import (
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

type help struct {
	look     *draw.Look
	keys     keymap
	readOnly bool
	top      int
}

func (h *help) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	const end = 1 << 20
	by, scrolls := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -10, "pgdown": 10, " ": 10,
		"home": -end, "g": -end, "end": end, "G": end}[key.String()]
	h.top += by // View keeps it in the text
	return nil, !scrolls
}

// entry returns the lines of one action; its description may take several.
func (h *help) entry(a *action, width int) []string {
	l, key, desc := h.look, format.Keys(a.keys), a.desc
	away := a.changes && h.readOnly
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
	for _, group := range groups {
		lines = append(lines, l.Ink.Title.Paint(group))
		for _, a := range h.keys.table {
			if a.group == group {
				lines = append(lines, h.entry(a, width)...)
			}
		}
		lines = append(lines, "")
	}
	lines = append(lines, l.Ink.Title.Paint("Mouse"),
		"  wheel scrolls, a click chooses; shift+drag selects text in most terminals")
	rows := min(height, len(lines)+2) - 2
	h.top = max(0, min(h.top, len(lines)-rows))
	foot := "esc closes"
	if rows < len(lines) {
		foot = format.Keys([]string{"up"}) + format.Keys([]string{"down"}) + " more   " + foot
	}
	return l.Box(l.Ink.Title.Paint("Keys"), l.Ink.Dim.Paint(foot), lines[h.top:h.top+rows], width, rows+2, true)
}
