package sandbox

import (
	"slices"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// see updates the box of a container with what the engine reported. It reports
// whether its daemon has to be checked.
func (s *set) see(ref api.Ref, c source.Container) (changed bool) {
	s.mu.Lock()
	seen := s.boxFor(ref)
	s.mu.Unlock()
	seen.update(func(b *box) {
		was := b.container
		if b.ID != "" && b.ID != c.ID { // another container under the same name
			b.began()
			b.Started = time.Time{}
			b.Daemon = api.Daemon{Since: time.Now()}
		}
		changed = b.ID != c.ID || b.Container != c.State || !slices.Equal(was.Addresses, c.Addresses)
		if was.ID == c.ID && c.State == api.ContainerRunning &&
			was.State != api.ContainerRunning && was.State != api.ContainerPaused {
			b.began()
			b.Started = time.Now() // a list does not have it, and the stop before may have been missed
		}
		if b.proof.address != "" && b.proof.bridge == nil && !c.HostNetwork &&
			!slices.Contains(c.Addresses, b.proof.address) {
			b.proof = proof{}
			b.dropBridge()
			if b.state.found == api.DaemonHealthy {
				b.state = b.state.next(moved)
			}
		}
		if b.Via == api.ViaHelper && c.State != api.ContainerRunning && c.State != api.ContainerPaused {
			b.dropBridge() // it would stay in a network that is gone
		}
		switch {
		case c.State != api.ContainerRunning:
			b.become(containerStopped, nil)
			if b.state.goal != unwanted { // so its daemon is missing
				b.Daemon.LastError = asProblem(ref, s.why.notRunning(ref, c.State))
			}
			b.Daemon.Started = false
		case b.ID != c.ID || b.Container != c.State:
			b.become(containerStarted, nil)
		}
		if b.ID != c.ID && s.helped.has(c.ID) {
			b.state = b.state.next(asked)
		}
		b.container = c
		b.ID, b.Image, b.Container, b.ExitCode, b.Labels = c.ID, c.Image, c.State, c.ExitCode, c.Labels
		b.Project = c.Labels["com.docker.compose.project"]
		if c.Platform != "" {
			b.Platform = c.Platform
		}
		b.Address = ""
		if len(c.Addresses) > 0 {
			b.Address = c.Addresses[0]
		}
		if !c.StartedAt.IsZero() {
			b.Started = c.StartedAt
		}
		b.SharesNetworkOf = s.sharesWith(b, c)
	})
	return changed
}

func (s *set) sharesWith(b *box, c source.Container) string {
	if c.HostNetwork {
		if b.away == c.ID {
			return ""
		}
		return api.HostName
	}
	for ref, b := range s.boxes {
		if c.SharesNetworkOf != "" && b.ID == c.SharesNetworkOf {
			return ref.String()
		}
	}
	return c.SharesNetworkOf
}

// began records that the container has started.
func (b *box) began() {
	b.starts++
	b.proof, b.process = proof{}, nil
	b.dropBridge()
}

// lose records that the container of b is gone. The default one stays in the list
// as missing, as it is configured by name.
func (b *box) lose() {
	b.update(func(b *box) {
		if b.Container == api.ContainerMissing && b.state.stopped {
			return // known already
		}
		b.container, b.process = source.Container{Infra: b.container.Infra}, nil
		b.dropBridge()
		b.ID, b.Address, b.Container, b.ExitCode = "", "", api.ContainerMissing, nil
		b.Daemon = api.Daemon{Since: time.Now()}
		b.become(containerStopped, missing(b.Ref))
	})
	b.dropGone()
}

// dropGone removes a box whose container is gone from the list, unless it is the
// default one or an injection is still in progress.
func (b *box) dropGone() {
	b.set.eventMu.Lock()
	defer b.set.eventMu.Unlock()
	b.set.mu.Lock()
	gone := b.set.boxes[b.Ref] == b && b.Container == api.ContainerMissing && !b.Default && b.state.work != injecting
	if gone {
		delete(b.set.boxes, b.Ref)
		close(b.kick)
	}
	b.set.mu.Unlock()
	if gone && b.announced {
		b.set.emit(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: b.Ref}})
	}
}
