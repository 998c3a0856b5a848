package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// route leads to the daemon in a container.
type route struct {
	*box
	c source.Container
}

// chosen returns how the container is reached since it started; empty: that is not
// known yet.
func (r route) chosen() string {
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	if r.ID != r.c.ID {
		return ""
	}
	return r.Via
}

// meet calls the daemon and has it prove that it is in the container. It stores the
// proof in the box, and how the daemon was reached. The errors are those of probe,
// daemon.ErrSecret, daemon.ErrNoChallenge, inject.ErrElsewhere, errUnproved, and
// those of a carrier, joined if there are several addresses.
func (r route) meet(ctx context.Context) (daemon.Info, error) {
	via, why, bridge := r.chosen(), r.set.notDirect(r.c, nil), r.set.canBridge()
	switch {
	case via == api.ViaHelper:
		return r.meetHelped(ctx)
	case r.set.o.Reach == reachHelper:
		return daemon.Info{}, daemon.ErrRefused // none was started
	case via == api.ViaExec:
		return r.meetInside(ctx, why)
	case why == "":
		f, err := r.meetDirectly(ctx, r.c)
		if err == nil {
			r.choose(api.ViaDirect, "")
			return f, nil
		}
		if why = r.set.notDirect(r.c, err); why == "" || via == api.ViaDirect || !bridge {
			return f, err
		}
	case !bridge:
		return daemon.Info{}, r.set.why.noAddress(r.Ref)
	}
	return r.meetInside(ctx, why)
}

// meetInside is meet through a bridge, which is chosen from now on if it starts.
func (r route) meetInside(ctx context.Context, why string) (daemon.Info, error) {
	f, got, starts, err := r.throughBridge(ctx, func() { r.choose(api.ViaExec, why) })
	if err == nil {
		r.prove(r.c, starts, got)
	}
	return f, err
}

// look is meetHidden for a daemon that may be in a container whose address refuses
// connections. It looks once for each start of the container, and only if the
// program of a bridge is in it. refused is the error of the address.
func (r route) look(ctx context.Context, refused error) (daemon.Info, error) {
	r.set.mu.Lock()
	first := r.ID == r.c.ID && r.Via == "" && !r.looked && r.state.work == idle
	r.looked = r.looked || first
	r.set.mu.Unlock()
	if !first || !r.set.canBridge() {
		return daemon.Info{}, refused
	}
	if _, _, _, err := r.throughBridge(ctx, func() {}); err != nil {
		r.update((*box).endBridge)
		return daemon.Info{}, refused
	}
	return r.meetHidden(ctx)
}

// meetHidden is meet for a daemon that answers inside, after its address has refused
// connections: it was just starting, or the address belongs to something else.
func (r route) meetHidden(ctx context.Context) (daemon.Info, error) {
	if f, err := r.meet(ctx); !isRefused(err) {
		if r.chosen() == api.ViaDirect {
			r.update((*box).endBridge)
		}
		return f, err
	}
	return r.meetInside(ctx, r.c.Addresses[0]+" belongs to something else here")
}

// meetHelped is meet through a helper, after choose: with the daemon in the
// container, if there is one, else with one that this program serves.
func (r route) meetHelped(ctx context.Context) (daemon.Info, error) {
	bridge, starts := r.carrier(api.ViaHelper)
	if bridge == nil {
		return daemon.Info{}, unknown(r.Ref)
	}
	if err := bridge.Ready(ctx); err != nil {
		return daemon.Info{}, err
	}
	began := time.Now()
	f, got, err := r.set.prover.meetThrough(ctx, r.c, bridge)
	took := time.Since(began)
	if ctx.Err() != nil {
		return daemon.Info{}, ctx.Err()
	}
	if errors.Is(err, carrier.ErrStalled) {
		return daemon.Info{}, err
	}
	if err != nil {
		got = proof{id: r.c.ID, address: "localhost", bridge: bridge}
		if got.served, err = bridge.serve(r.set.o, r.c); err == nil {
			f, err = got.served.client.Version(ctx)
		}
		f.Latency = took // of the helper, not of this program
	}
	if err == nil {
		r.prove(r.c, starts, got)
	}
	return f, err
}

// throughBridge calls the daemon through a bridge; started is called once it runs.
func (r route) throughBridge(ctx context.Context, started func()) (f daemon.Info, got proof, starts int, err error) {
	bridge, starts := r.carrier(api.ViaExec)
	if bridge == nil {
		return f, got, starts, unknown(r.Ref)
	}
	if err := bridge.Ready(ctx); err != nil {
		return f, got, starts, err
	}
	started()
	f, got, err = r.set.prover.meetThrough(ctx, r.c, bridge)
	return f, got, starts, err
}

// choose stores how the container is reached, unless it was replaced.
func (r route) choose(via, why string) {
	if r.chosen() == via {
		return
	}
	r.update(func(b *box) {
		if b.ID == r.c.ID {
			b.Via, b.ViaReason = via, why
		}
	})
}

// carrier returns the carrier to the container, a bridge in it or a helper, which
// is made if needed, and how many of its starts were seen; nil if it was replaced, or
// does not run and would need a helper, which would stay.
func (r route) carrier(via string) (way *bridge, starts int) {
	s, c := r.set, r.c
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ID != c.ID || s.ctx.Err() != nil || via == api.ViaHelper && r.Container != api.ContainerRunning {
		return nil, 0
	}
	if r.bridge != nil && r.bridge.via != via {
		r.endBridge()
	}
	if r.bridge == nil {
		job := s.job(r.Ref, c)
		open := func(ctx context.Context, complaints io.Writer) (net.Conn, error) {
			if via == api.ViaHelper {
				return s.openHelper(ctx, job, "bridge", complaints)
			}
			return s.openInside(ctx, job, "bridge", complaints)
		}
		r.bridge = &bridge{Carrier: carrier.New(carrier.Options{Log: s.log.With("sandbox", r.String()), Open: open}), via: via}
	}
	return r.bridge, r.starts
}

// isAway reports whether err, of onThisMachine, shows that the container uses the
// network of another machine, and that this can be reached: by a helper. It is
// recorded.
func (r route) isAway(err error) bool {
	if !errors.Is(err, inject.ErrElsewhere) || !r.set.canHelp() {
		return false
	}
	r.update(func(b *box) {
		if b.ID == r.c.ID {
			b.away, b.SharesNetworkOf = r.c.ID, ""
		}
	})
	return true
}

// probe calls the daemon of b, or of the owner of its network.
func (b *box) probe() (daemon.Info, error) {
	b.set.mu.Lock()
	owner, err := b.networkOf()
	if err != nil {
		b.set.mu.Unlock()
		return daemon.Info{}, err
	}
	c, onHost := owner.container, owner.onHost()
	b.set.mu.Unlock()
	if onHost {
		err := owner.onThisMachine(b.set.ctx, c)
		if err == nil {
			return b.set.host.probe(b.set.ctx)
		}
		if !(route{owner, c}).isAway(err) {
			return daemon.Info{}, err
		}
	}
	r, ctx := route{owner, c}, carrier.Check(b.set.ctx)
	f, err := r.meet(ctx)
	if isRefused(err) && len(c.Addresses) > 0 {
		return r.look(ctx, err)
	}
	return f, err
}
