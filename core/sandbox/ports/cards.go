package ports

import (
	"context"
	"slices"
	"sync"
	"time"

	"daemon-proxy/core/api"
)

const (
	// cardTimeout bounds the identification of one port.
	cardTimeout = 1500 * time.Millisecond
	// cardsAtOnce bounds how many ports are identified at a time.
	cardsAtOnce = 32
	// listFresh is how long a list of cards is cached, cardFresh how long what
	// answered on a port is assumed to be still there.
	listFresh, cardFresh = 3 * time.Second, 30 * time.Second
)

// cardFile caches what was found on the ports of a sandbox.
type cardFile struct {
	mu    sync.Mutex // held while the ports are identified; other callers wait
	at    time.Time
	cards []api.PortCard
	found map[int]foundCard
}

type foundCard struct {
	api.PortCard
	at time.Time
}

func (p *Ports) file(ref api.Ref) *cardFile {
	p.mu.Lock()
	defer p.mu.Unlock()
	file := p.cards[ref]
	if file == nil {
		file = &cardFile{found: map[int]foundCard{}}
		p.cards[ref] = file
	}
	return file
}

// forget makes the next call of Cards identify a port again.
func (p *Ports) forget(ref api.Ref, port int) {
	file := p.file(ref)
	file.mu.Lock()
	defer file.mu.Unlock()
	file.at = time.Time{}
	delete(file.found, port)
}

// Cards returns the ports that something listens on in ref, sorted by number,
// with what answers there. They are identified in parallel, in 1.5 s each at
// most, and the result is kept for some seconds.
func (p *Ports) Cards(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	file := p.file(ref)
	file.mu.Lock()
	defer file.mu.Unlock()
	if time.Since(file.at) < listFresh {
		return slices.Clone(file.cards), nil
	}
	t, err := p.o.Target(ref)
	if err != nil {
		return nil, err
	}
	ports, err := p.list(ctx, t)
	if err != nil {
		return nil, err
	}
	shown, passing := p.filter(t, ports)
	file.cards = identifyAll(ctx, t, shown, file.found)
	for _, port := range passing {
		file.cards = append(file.cards, api.PortCard{Port: port, Sandbox: ref, Service: "unknown"})
	}
	slices.SortFunc(file.cards, func(a, b api.PortCard) int { return a.Port.Port - b.Port.Port })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	file.at = time.Now()
	found := make(map[int]foundCard, len(file.cards))
	for _, card := range file.cards {
		old, ok := file.found[card.Port.Port]
		if !ok || !old.usable(card.Port) { // it has just been identified
			old = foundCard{card, file.at}
		}
		found[card.Port.Port] = old
	}
	file.found = found
	return slices.Clone(file.cards), nil
}

// filter removes this program's own ports and, on this machine, separates the
// ports that the kernel assigned at random (passing). Those are not identified:
// an unexpected request disturbs tests and tools, and a service that is meant
// to be found has a fixed port.
func (p *Ports) filter(t Target, ports []api.Port) (shown, passing []api.Port) {
	if !t.OnHost {
		return ports, nil
	}
	for _, port := range ports {
		switch {
		case slices.Contains(t.Own, port.Port):
		case !p.o.Chosen(port.Port):
			passing = append(passing, port)
		default:
			shown = append(shown, port)
		}
	}
	return shown, passing
}

// usable reports whether f is recent enough to be used for p.
func (f foundCard) usable(p api.Port) bool {
	fresh := cardFresh
	if f.Service == "unknown" {
		fresh = listFresh // it may only have been slow
	}
	return f.Address == p.Address && time.Since(f.at) < fresh
}

// identifyAll makes the cards of ports, several in parallel. Cards in found
// that are still usable are reused.
func identifyAll(ctx context.Context, t Target, ports []api.Port, found map[int]foundCard) []api.PortCard {
	label := readDevcontainer(t.Labels[devcontainerLabel])
	desktop := readDesktop(t.Labels[desktopLabel])
	cards := make([]api.PortCard, len(ports))
	slots := make(chan struct{}, cardsAtOnce)
	var group sync.WaitGroup
	for i, p := range ports {
		if f, ok := found[p.Port]; ok && f.usable(p) {
			cards[i] = f.PortCard
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			cards[i] = identify(ctx, t, p)
			cards[i].Sandbox = t.Ref
			label.complete(&cards[i])
			desktop.complete(&cards[i])
		})
	}
	group.Wait()
	return cards
}
