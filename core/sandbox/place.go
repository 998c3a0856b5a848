package sandbox

import (
	"context"
	"fmt"

	"daemon-proxy/core/api"
)

// place is where a sandbox's requests go: one start of one container, at the
// address at which its daemon was proved to be. Its context ends, with the
// problem that new requests get as its cause, when that daemon is known to be
// gone: whatever still waits there would wait for ever, because the network
// of a dead container does not answer, not even with a reset.
type place struct {
	key string // of the pool of connections; empty: there is no place
	ctx context.Context
	end context.CancelCauseFunc
}

// updatePlace brings the place of b in line with its state; mu is held. A paused
// container keeps its place, and so does a daemon that is about to be asked.
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

// gone is what those who wait for the daemon of b are told; mu is held.
func (b *box) gone() error {
	if err := b.unusable(); err != nil {
		return err
	}
	return problem(b.Ref, api.CodeDaemonDown,
		"the daemon in "+b.String()+" is not where it was: the container was restarted, or its address is another",
		"send the request again")
}
