package sandbox

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
)

const (
	// cardTimeout bounds the look at one port.
	cardTimeout = 1500 * time.Millisecond
	// cardsAtOnce bounds how many ports are looked at together.
	cardsAtOnce = 32
	// listFresh is how long a list of cards is handed out again, cardFresh how
	// long what answered on a port is taken to be still there.
	listFresh, cardFresh = 3 * time.Second, 30 * time.Second
)

// cardFile is what was found on the ports of a sandbox.
type cardFile struct {
	mu    sync.Mutex // held while the ports are looked at: others wait for that
	at    time.Time
	cards []api.PortCard
	found map[int]foundCard
}

type foundCard struct {
	api.PortCard
	at time.Time
}

func (s *Sandboxes) cardFile(ref api.Ref) *cardFile {
	s.watching.mu.Lock()
	defer s.watching.mu.Unlock()
	file := s.watching.cards[ref]
	if file == nil {
		file = &cardFile{found: map[int]foundCard{}}
		s.watching.cards[ref] = file
	}
	return file
}

// forgetCard has the next list of cards ask a port again.
func (s *Sandboxes) forgetCard(ref api.Ref, port int) {
	file := s.cardFile(ref)
	file.mu.Lock()
	defer file.mu.Unlock()
	file.at = time.Time{}
	delete(file.found, port)
}

// Cards are the ports that something listens on in ref, by number, with what
// answers there. Each is looked at for 1.5 s at most, all of them together, and
// what was found is kept for some seconds. The error is that of Ports.
func (s *Sandboxes) Cards(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	file := s.cardFile(ref)
	file.mu.Lock()
	defer file.mu.Unlock()
	if time.Since(file.at) < listFresh {
		return slices.Clone(file.cards), nil
	}
	ports, err := s.Ports(ctx, ref)
	if err != nil {
		return nil, err
	}
	shown, passing := s.others(ref, ports)
	file.cards = s.cardsOf(ctx, ref, shown, file.found)
	for _, p := range passing {
		file.cards = append(file.cards, api.PortCard{Port: p, Sandbox: ref, Service: "unknown"})
	}
	slices.SortFunc(file.cards, func(a, b api.PortCard) int { return a.Port.Port - b.Port.Port })
	if ctx.Err() != nil {
		return nil, asProblem(ref, ctx.Err())
	}
	file.at = time.Now()
	found := make(map[int]foundCard, len(file.cards))
	for _, card := range file.cards {
		old, ok := file.found[card.Port.Port]
		if !ok || !old.usable(card.Port) { // it was looked at just now
			old = foundCard{card, file.at}
		}
		found[card.Port.Port] = old
	}
	file.found = found
	return slices.Clone(file.cards), nil
}

// others are the ports without this program's own ones: its server is no
// service of the machine, and its daemon for the machine may have any port. Of
// the machine, passing are those that a program got at random. They are not
// looked at: a request that nobody meant disturbs tests and tools, and who
// wants to be found has a port that stays.
func (s *Sandboxes) others(ref api.Ref, ports []api.Port) (shown, passing []api.Port) {
	s.mu.Lock()
	b := s.boxes[ref]
	onHost := b != nil && b.IsHost()
	if b != nil && !onHost {
		owner, err := s.owner(b)
		onHost = err == nil && owner.IsHost()
	}
	s.mu.Unlock()
	if !onHost {
		return ports, nil
	}
	s.host.mu.Lock()
	own := s.host.port
	s.host.mu.Unlock()
	for _, p := range ports {
		switch {
		case p.Port == s.o.OwnPort || p.Port == own:
		case !s.watching.meant(p.Port):
			passing = append(passing, p)
		default:
			shown = append(shown, p)
		}
	}
	return shown, passing
}

// firstRandom is where the kernel's range for ports at random begins.
func firstRandom() int {
	const usual = 32768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return usual
	}
	first, err := strconv.Atoi(fields[0])
	if err != nil || first < 10_000 { // a range that covers nearly all says nothing
		return usual
	}
	return first
}

// usable says whether what was found may stand for what is there now.
func (f foundCard) usable(p api.Port) bool {
	fresh := cardFresh
	if f.Service == "unknown" {
		fresh = listFresh // it may only have been slow
	}
	return f.Address == p.Address && time.Since(f.at) < fresh
}

// cardsOf looks at ports together.
func (s *Sandboxes) cardsOf(ctx context.Context, ref api.Ref, ports []api.Port, found map[int]foundCard) []api.PortCard {
	s.mu.Lock()
	var labels map[string]string
	if b := s.boxes[ref]; b != nil {
		labels = b.Labels
	}
	s.mu.Unlock()
	said := readDevcontainer(labels[devcontainerLabel])
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
			cards[i] = s.lookAt(ctx, ref, p)
			cards[i].Sandbox = ref
			said.complete(&cards[i])
		})
	}
	group.Wait()
	return cards
}
