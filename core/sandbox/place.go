package sandbox

import (
	"context"
	"fmt"

	"daemon-proxy/core/api"
)

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

// updatePlace updates the place of b after a change of its state; mu is held. A
// paused container keeps its place, and so does a daemon that is about to be
// checked.
func (b *box) updatePlace() {
	key := ""
	if b.proof.address != "" && !b.IsHost() {
		key = fmt.Sprintf("%s %s %d", b.proof.id, b.proof.address, b.starts)
	}
	switch {
	case b.Container == api.ContainerPaused:
		return
	case b.Container != api.ContainerRunning:
	case b.place.key == key && (b.Daemon.State == api.DaemonUnknown || b.Daemon.State == api.DaemonInjecting):
		return
	case b.Daemon.State == api.DaemonHealthy && key != "":
		if b.place.key == key {
			return
		}
		b.leave(b.gone())
		b.place.key = key
		b.place.ctx, b.place.end = context.WithCancelCause(context.Background())
		if b.set.o.OnGone != nil {
			context.AfterFunc(b.place.ctx, func() { b.set.o.OnGone(key) })
		}
		return
	}
	b.leave(b.gone())
}

// leave ends the place, if there is one; mu is held.
func (b *box) leave(why error) {
	if b.place.end != nil {
		b.place.end(why)
	}
	b.place = place{}
}

// gone is the problem of requests that wait for the daemon of b; mu is held.
func (b *box) gone() error {
	if err := b.unusable(); err != nil {
		return err
	}
	return problem(b.Ref, api.CodeDaemonDown,
		"the daemon in "+b.String()+" has moved: the container was restarted, or its address has changed",
		"send the request again")
}
