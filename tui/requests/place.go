package requests

import "daemon-proxy/tui/draw"

// place is the position of the list: at the newest exchange while it follows,
// else at the one at the cursor.
type place struct {
	store  store
	cursor draw.Cursor
	Chosen uint64 // the exchange at the cursor
	paused bool
	seen   uint64 // the newest at the pause
}

// settle moves the cursor after a change of the list: to the newest exchange while
// it follows, else to the same exchange, at the same place on the screen.
func (p *place) settle(height int) {
	onScreen := p.cursor.At - p.cursor.Top
	p.cursor.Resize(p.store.count(), height)
	if !p.paused || p.Chosen == 0 {
		p.paused = false
		p.cursor.Put(0)
	} else if at := max(0, p.store.rowOf(p.Chosen)); at != p.cursor.At {
		p.cursor.Top = max(0, at-onScreen)
		p.cursor.Put(at)
	}
	p.remember()
}

// remember stores which exchange is at the cursor.
func (p *place) remember() {
	x, _ := p.store.row(p.cursor.At)
	p.Chosen = x.ID
}

func (p *place) pause() {
	if !p.paused {
		p.paused = true
		newest, _ := p.store.row(0)
		p.seen = newest.ID
	}
}

// missed returns how many exchanges are new since the pause.
func (p *place) missed() int {
	if !p.paused {
		return 0
	}
	return max(0, p.store.rowOf(p.seen))
}

// goTo moves the cursor; at the newest exchange the list follows, else it pauses.
func (p *place) goTo(move func()) {
	p.pause()
	move()
	p.remember()
	p.paused = p.cursor.At > 0
}
