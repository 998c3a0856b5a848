package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"sync"

	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// The ports of a container are reached directly at its address, or through a
// bridge: one process in it, started by its source, or in a helper (see helper.go).
// Directly is used where the daemon was proved to be in the container at that
// address, a bridge where there is no address, or it cannot be dialled from here,
// or something else answers there. A bridge needs no other proof of where it is.
// What was used first is used until the container starts again; docker.reach allows
// one of them only.

// The values of docker.reach, besides "auto".
const (
	reachDirect = "direct"
	reachBridge = "bridge"
	reachHelper = "helper"
)

// canBridge reports whether the containers may be reached by a bridge in them.
func (s *set) canBridge() bool {
	_, can := s.source.(source.Piper)
	return can && s.o.Reach != reachDirect && s.o.Reach != reachHelper
}

// notDirect returns why a daemon in c cannot be reached directly; err is from the
// attempt, or nil before it. It is empty if that is possible.
func (s *set) notDirect(c source.Container, err error) string {
	at := "its address"
	if len(c.Addresses) > 0 {
		at = c.Addresses[0]
	}
	var broken net.Error
	var doubt doubtful
	switch {
	case s.o.Reach == reachBridge:
		return "docker.reach is bridge"
	case c.HostNetwork:
		return "it uses the network of another machine"
	case len(c.Addresses) == 0:
		return "it has no network address"
	case errors.Is(err, inject.ErrElsewhere):
		return at + " belongs to something else here"
	case errors.Is(err, errUnproved), errors.As(err, &doubt):
		return "what answers at " + at + " cannot be proved to be in it"
	case isOfDaemon(err):
		return ""
	case errors.As(err, &broken):
		return at + " cannot be dialled from here"
	}
	return ""
}

// isOfDaemon reports whether err is that of something that was reached.
func isOfDaemon(err error) bool {
	return slices.ContainsFunc([]error{
		daemon.ErrRefused, daemon.ErrNotDaemon, daemon.ErrSilent, daemon.ErrSecret, daemon.ErrNoChallenge,
	}, func(known error) bool { return errors.Is(err, known) })
}

// meetThrough is meetAt through a bridge: what answers is in the container.
func (p prover) meetThrough(
	ctx context.Context, c source.Container, bridge *bridge,
) (daemon.Info, proof, error) {
	got := proof{id: c.ID, address: "localhost", bridge: bridge}
	v, err := daemon.NewClient(got.reach(), p.port, "").Open(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = cmp.Or(bridge.CheckStalled(), fmt.Errorf("%w: %w", daemon.ErrSilent, err))
	}
	if err != nil {
		return daemon.Info{}, proof{}, err
	}
	defer v.Close()
	f, err := v.Version(ctx)
	if errors.Is(err, daemon.ErrSilent) {
		err = cmp.Or(bridge.CheckStalled(), err)
	}
	if err == nil && f.Kind == daemon.KindBuiltIn {
		err = v.Challenge(ctx, p.keys.secret(c.ID))
	}
	return f, got, err
}

// openInside starts a command of the program that is in the container: a bridge, or
// the self-test page.
func (s *set) openInside(
	ctx context.Context, job *inject.Job, command string, complaints io.Writer,
) (net.Conn, error) {
	piper, ok := s.source.(source.Piper)
	if !ok {
		return nil, carrier.ErrNoBridge
	}
	program := job.Program()
	if _, err := s.source.Stat(ctx, job.Container.ID, program); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it has no %s", carrier.ErrNoBridge, program)
	} else if err != nil {
		return nil, err
	}
	spec := source.ExecSpec{Cmd: []string{program, "toolbox", command}, WorkDir: "/"}
	return piper.OpenPipe(ctx, job.Container.ID, spec, complaints)
}

// dropBridge ends the bridge of b and the choice of it, since the container is
// another one or was started again; mu is held.
func (b *box) dropBridge() {
	b.Via, b.ViaReason, b.looked = "", "", false
	b.endBridge()
}

// endBridge ends the bridge of b; the next use starts another one; mu is held.
func (b *box) endBridge() {
	if b.bridge != nil && b.set.ctx.Err() == nil {
		b.set.group.Go(b.bridge.end)
		b.bridge = nil
	}
}

// closeBridges ends all bridges.
func (s *set) closeBridges() {
	s.mu.Lock()
	var all sync.WaitGroup
	for _, b := range s.boxes {
		if b.bridge != nil {
			all.Go(b.bridge.end)
		}
	}
	s.mu.Unlock()
	all.Wait()
}
