package traffic

// chain is a list of recordings, oldest first. Its links are in the recordings,
// so that adding and removing cost no memory; log.mu guards them.
type chain struct {
	which       int // of the links of a recording
	first, last *Recording
	length      int
}

// A recording is in one chain of each number at most.
const (
	byProgress = iota // under way, or ended
	byHolding         // has a detail
	chains
)

type links struct{ older, newer *Recording }

func (c *chain) push(r *Recording) {
	r.links[c.which] = links{older: c.last}
	if c.last != nil {
		c.last.links[c.which].newer = r
	} else {
		c.first = r
	}
	c.last = r
	c.length++
}

func (c *chain) remove(r *Recording) {
	at := r.links[c.which]
	if at.older != nil {
		at.older.links[c.which].newer = at.newer
	} else {
		c.first = at.newer
	}
	if at.newer != nil {
		at.newer.links[c.which].older = at.older
	} else {
		c.last = at.older
	}
	r.links[c.which] = links{}
	c.length--
}

// newer is what follows r.
func (c *chain) newer(r *Recording) *Recording { return r.links[c.which].newer }

// older is what precedes r.
func (c *chain) older(r *Recording) *Recording { return r.links[c.which].older }
