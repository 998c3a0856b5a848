package sandbox

import "context"

// place is the destination of a sandbox's requests: one start of one container,
// at the address at which its daemon was proved to be. Its context ends when that
// daemon is known to be gone, with the problem that new requests get as its cause.
// Pending requests would otherwise wait forever, because the network of a dead
// container does not answer, not even with a reset.
type place struct {
	key string // of the pool of connections; empty: there is no place
	ctx context.Context
	end context.CancelCauseFunc
}

// newPlace makes a place; onGone, unless it is nil, is called once it is left.
func newPlace(key string, onGone func(key string)) place {
	ctx, end := context.WithCancelCause(context.Background())
	if onGone != nil {
		context.AfterFunc(ctx, func() { onGone(key) })
	}
	return place{key, ctx, end}
}

// leave ends the place, if there is one.
func (p *place) leave(why error) {
	if p.end != nil {
		p.end(why)
	}
	*p = place{}
}
