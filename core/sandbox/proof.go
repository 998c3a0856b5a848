package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// Every engine assigns addresses from the same private ranges, so the address of
// a container on another machine may belong to a container here. A daemon is used
// only once it has been proved to be in the container. The built-in daemon proves
// it with its secret, which is not sent before. The Daytona daemon has no secret:
// for it, the other end of our connection must be a socket in the container's
// network.

var errUnproved = errors.New("what answers there cannot be proved to be in the container")

// proof is where the daemon of a container is. The zero value: not proved.
type proof struct {
	id      string // of the container
	address string // without the port
	pid     int    // of a process of the container on this machine; 0: none is known
	inside  bool   // the container's own programs proved it, and nothing has changed since
	from    string // our own address at that time: if it changes, so did the route
}

// meet calls the daemon of b, whose container is c, and has it prove that it is
// in the container. It stores the proof in b. The errors are those of probe,
// daemon.ErrSecret, daemon.ErrNoChallenge, inject.ErrElsewhere and errUnproved,
// joined if there are several addresses.
func (b *box) meet(ctx context.Context, c source.Container) (daemon.Info, error) {
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

// meetAt is meet at one address. A connection that was closed is in no table, so
// it proves nothing: what listened there may have ended, and is asked once more.
func (p prover) meetAt(
	ctx context.Context, c source.Container, address string, known proof,
) (info daemon.Info, got proof, err error) {
	for range 2 {
		info, got, err = p.meetOnce(ctx, c, address, known)
		if !errors.Is(err, daemon.ErrClosed) {
			break
		}
	}
	return info, got, err
}

func (p prover) meetOnce(
	ctx context.Context, c source.Container, address string, known proof,
) (daemon.Info, proof, error) {
	v, err := daemon.NewClient(reach.Direct(dialTimeout, address), p.port, "").Open(ctx)
	if err != nil {
		return daemon.Info{}, proof{}, err
	}
	defer v.Close()
	f, err := v.Version(ctx)
	got := proof{id: c.ID, address: address}
	switch {
	case err == nil && f.Kind == daemon.KindBuiltIn:
		err = v.Challenge(ctx, p.keys.secret(c.ID))
	case err == nil:
		got, err = p.locate(ctx, c, v, known)
		return f, got, err
	}
	late := errors.Is(err, daemon.ErrSilent) && known.address != address
	if errors.Is(err, daemon.ErrClosed) {
		return f, got, err
	}
	if late || errors.Is(err, daemon.ErrSecret) || errors.Is(err, daemon.ErrNoChallenge) || errors.Is(err, daemon.ErrNotDaemon) {
		if _, where := p.locate(ctx, c, v, proof{}); errors.Is(where, inject.ErrElsewhere) {
			err = where
		}
	}
	return f, got, err
}

// onThisMachine proves that a container with host networking uses this machine's
// network: its engine may be on another machine.
func (b *box) onThisMachine(ctx context.Context, c source.Container) error {
	b.set.mu.Lock()
	proved, starts := b.proof.id == c.ID && b.proof.id != "", b.starts
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
