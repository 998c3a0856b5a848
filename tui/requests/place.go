package requests

import "daemon-proxy/tui/draw"

// place is where the list stands: on the newest exchange while it follows, else
// on the one at the cursor.
type place struct {
	store  store
	cursor draw.Cursor
	Chosen uint64 // the exchange at the cursor
	paused bool
	seen   uint64 // the newest when it was paused
}

// settle puts the cursor where it belongs after the list changed: on the newest
// while it follows, else on the same exchange, which stays at its place on the screen.
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

// remember notes which exchange is at the cursor.
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

// missed is how many came since the pause.
func (p *place) missed() int {
	if !p.paused {
		return 0
	}
	return max(0, p.store.rowOf(p.seen))
}

// goTo moves the cursor; away from the newest it stays, at the newest it follows.
func (p *place) goTo(move func()) {
	p.pause()
	move()
	p.remember()
	p.paused = p.cursor.At > 0
}
