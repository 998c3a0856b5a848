package tui

// The sizes at which the layout changes.
const (
	leastWidth  = 60
	leastHeight = 15
	wideFrom    = 110
)

type rect struct{ x, y, w, h int }

func (r rect) has(x, y int) bool { return x >= r.x && x < r.x+r.w && y >= r.y && y < r.y+r.h }

// layout has the position of each part. A rectangle without width is not drawn.
type layout struct {
	small        bool // too small for more than a message
	wide         bool // list and detail side by side
	list, detail rect
	status       int // the line of notes and errors, above the footer
}

// arrange places the parts of a screen of w × h: side by side, with up to 42 %
// for the list if its rows need that, or only the focused part.
func arrange(w, h, rowWidth int, listInFocus bool) layout {
	if w < leastWidth || h < leastHeight {
		return layout{small: true}
	}
	l := layout{wide: w >= wideFrom, status: h - 2}
	body := rect{0, 1, w, h - 3}
	switch {
	case l.wide:
		left := min(60, max(42, w*36/100, min(rowWidth+2, w*42/100)))
		l.list, l.detail = rect{0, 1, left, body.h}, rect{left, 1, w - left, body.h}
	case listInFocus:
		l.list = body
	default:
		l.detail = body
	}
	return l
}
