package tui

import (
	"fmt"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// titles draws the upper edges of the list and the details.
type titles struct{ *ui }

func (t *titles) listTitle() string {
	l := t.Look
	title := l.Ink.Title.Paint("Sandboxes")
	if t.engineLost() {
		title += l.Ink.Dim.Paint(" as last seen")
	}
	if !t.layout.wide {
		title += l.Ink.Dim.Paint(" " + l.Glyph.Dash + " " + t.names(-1))
	}
	return title
}

// detailTitle returns the selected sandbox's name and the tabs.
func (t *titles) detailTitle() string {
	l := t.Look
	return l.Ink.Title.Paint(l.Cut(t.selectedName(), t.nameWidth())) + l.Ink.Frame.Paint(" "+l.Glyph.Dash+" ") +
		t.names(t.tab)
}

func (t *titles) selectedName() string {
	if t.list.Selected == (api.Ref{}) {
		return "no sandbox"
	}
	return format.Sandbox(t.list.Selected)
}

// names returns the names of the tabs, with the current one marked.
func (t *titles) names(front int) string {
	l := t.Look
	parts := make([]string, len(tabNames))
	for i, name := range tabNames {
		parts[i] = fmt.Sprintf("%d %s", i+1, name)
		if i == front {
			parts[i] = l.Ink.Cursor.Paint(parts[i])
		}
	}
	return strings.Join(parts, t.gap())
}

// gap returns the space between the names of tabs; it is less in a narrow window.
func (t *titles) gap() string {
	if t.width < 76 {
		return " "
	}
	return t.Ink.Frame.Paint(" " + t.Glyph.Across + " ")
}

// nameWidth is the width of the selected sandbox's name in the detail pane's edge.
func (t *titles) nameWidth() int {
	return max(10, t.layout.detail.w-text.Width(t.names(-1))-len("+  --  -+"))
}

// tabAt returns the tab whose name is at column x of the upper edge of the details,
// or of the list if it is alone; -1 if there is none.
func (t *titles) tabAt(x int) int {
	at, title := t.layout.detail.x, t.detailTitle()
	if t.layout.detail.w == 0 {
		at, title = t.layout.list.x, t.listTitle()
	}
	at += 2 + text.Width(title) - text.Width(t.names(-1))
	for i, name := range tabNames {
		w := len(name) + 2
		if x >= at && x < at+w {
			return i
		}
		at += w + text.Width(t.gap())
	}
	return -1
}
