package traffic

// What is counted of an exchange beside its texts: the recording with its place
// in the log, its detail, and one captured frame with its place in the ring.
const (
	recordingCost = 640
	detailCost    = 384
	frameCost     = 160
)

// roundUp is about what the allocator needs for n bytes.
func roundUp(n int) int { return n + n/8 }

// makeRoom discards until n more bytes fit into the budget: first the details
// of the oldest exchanges, those under way included but never those of keep,
// then the oldest ended exchanges themselves. It reports whether they fit.
// log.mu is held.
func (l *Log) makeRoom(n int, keep *Recording) bool {
	for l.held+n > l.options.Memory {
		oldest := l.holders.first
		if oldest != nil && oldest == keep {
			oldest = l.holders.newer(oldest)
		}
		switch {
		case oldest != nil:
			l.discard(oldest)
		case l.ended.first != nil:
			l.evict()
		default:
			return false
		}
	}
	return true
}

// reserve asks for n more bytes for d, the detail of r. It is refused if there
// is no room, if d has been discarded, or if r has ended: it could itself be
// evicted to make room.
func (l *Log) reserve(r *Recording, d *detail, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.over || r.detail.Load() != d || !l.makeRoom(n, r) {
		return false
	}
	l.hold(r, d, n)
	return true
}

// hold counts n bytes of d; log.mu is held.
func (l *Log) hold(r *Recording, d *detail, n int) {
	if d.held == 0 {
		l.holders.push(r)
	}
	d.held += n
	l.held += n
}

// discard frees the detail of r, even while it is written to; log.mu is held.
func (l *Log) discard(r *Recording) {
	d := r.detail.Swap(nil)
	if d == nil || d.held == 0 {
		return
	}
	l.held -= d.held
	d.held = 0
	l.holders.remove(r)
}

// evict drops the oldest ended exchange; log.mu is held.
func (l *Log) evict() {
	r := l.ended.first
	l.discard(r)
	l.ended.remove(r)
	delete(l.known, r.id())
	l.evicted = r.change
	l.dropped++
	l.held -= r.cost
	r.cost = 0
}

// renew gives r, which is under way, an empty detail in place of the one that
// was discarded; nil if there is no room.
func (l *Log) renew(r *Recording) *detail {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := r.detail.Load(); d != nil {
		return d
	}
	if r.over || !l.makeRoom(detailCost, r) {
		return nil
	}
	d := &detail{renewed: true}
	r.detail.Store(d)
	l.hold(r, d, detailCost)
	return d
}
