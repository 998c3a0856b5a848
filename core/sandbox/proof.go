package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// meetDirectly is route.meet at the addresses of the container.
func (b *box) meetDirectly(ctx context.Context, c source.Container) (daemon.Info, error) {
	b.set.mu.Lock()
	known, starts := b.proof, b.starts
	b.set.mu.Unlock()
	if known.id != c.ID {
		known = proof{}
	}
	addresses := slices.Clone(c.Addresses)
	if i := slices.Index(addresses, known.address); i > 0 {
		addresses[0], addresses[i] = addresses[i], addresses[0]
	}
	var errs []error
	for _, address := range addresses {
		f, got, err := b.set.prover.meetAt(ctx, c, address, known)
		if err == nil {
			b.prove(c, starts, got)
			return f, nil
		}
		errs = append(errs, err)
	}
	if slices.ContainsFunc(errs, isRefused) { // a new daemon could listen there
		errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, inject.ErrElsewhere) })
	}
	err := errors.Join(errs...)
	if errors.Is(err, inject.ErrElsewhere) || errors.Is(err, errUnproved) || errors.Is(err, daemon.ErrSecret) {
		b.prove(c, starts, proof{})
	}
	return daemon.Info{}, err
}

func isRefused(err error) bool { return errors.Is(err, daemon.ErrRefused) }

// prove stores a proof for the container c in b, unless the container was
// replaced, moved to another address, or restarted since b.starts had the value
// starts.
func (b *box) prove(c source.Container, starts int, p proof) {
	b.update(func(b *box) {
		if b.ID == c.ID && b.starts == starts && slices.Equal(b.container.Addresses, c.Addresses) {
			b.proof = p
		}
	})
}

// onThisMachine proves that a container with host networking uses this machine's
// network: its engine may be on another machine.
func (b *box) onThisMachine(ctx context.Context, c source.Container) error {
	b.set.mu.Lock()
	proved, starts := b.proof.id == c.ID, b.starts // the host itself has no ID and needs no proof
	b.set.mu.Unlock()
	if proved {
		return nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("%w: %w", errUnproved, err)
	}
	defer listener.Close()
	conn, err := loopback.Dial(ctx, listener.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnproved, err)
	}
	defer conn.Close()
	got, err := b.set.prover.locate(ctx, c, conn, proof{})
	if err == nil {
		b.prove(c, starts, got)
	}
	return err
}

// claim finds out whether this program, perhaps in an earlier run, started the
// daemon in b, and when. A built-in daemon that knows our secret was started by
// this program; for a daytona a script is run in the container. If that fails
// (no shell), the previous state is kept.
func (b *box) claim(ctx context.Context, f daemon.Info) daemon.Info {
	b.set.mu.Lock()
	c, started := b.container, b.Daemon.Started
	own := b.own()
	b.set.mu.Unlock()
	if !own {
		return f
	}
	if f.Kind == daemon.KindBuiltIn {
		started = true
	} else {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		age, running, err := b.set.job(b.Ref, c).Age(ctx)
		if err == nil {
			started = running
		}
		if err == nil && running && age >= 0 {
			f.Started = time.Now().Add(-age)
		}
	}
	b.update(func(b *box) { b.Daemon.Started = started })
	return f
}
