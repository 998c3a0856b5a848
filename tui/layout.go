package tui

// The sizes at which the screen is drawn otherwise.
const (
	leastWidth  = 60
	leastHeight = 15
	wideFrom    = 110
)

type rect struct{ x, y, w, h int }

func (r rect) has(x, y int) bool { return x >= r.x && x < r.x+r.w && y >= r.y && y < r.y+r.h }

// layout says where things are. A rectangle without width is not drawn.
type layout struct {
	small        bool // too small for anything but saying so
	wide         bool // list and detail side by side
	list, detail rect
	status       int // the line of notes and errors; the one below it is the footer
}

// arrange places the parts of a screen of w × h: side by side, where the list
// gets up to 42 % for rows of rowWidth, or only the part in focus.
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
