package world

import (
	"cmp"
	"slices"

	"daemon-proxy/core/api"
)

// PortList is what listens in a sandbox; Err is why that is unknown.
type PortList struct {
	Cards []api.PortCard
	Err   error
}

// Services returns the cards without those of the daemon.
func (l PortList) Services() []api.PortCard {
	return slices.DeleteFunc(slices.Clone(l.Cards), func(c api.PortCard) bool { return c.Daemon })
}

func (l PortList) has(port int) (i int, ok bool) {
	i = slices.IndexFunc(l.Cards, func(c api.PortCard) bool { return c.Port.Port == port })
	return i, i >= 0
}

// same reports whether two lists look the same.
func (l PortList) same(now PortList) bool {
	if (l.Err == nil) != (now.Err == nil) {
		return false
	}
	return l.Cards != nil && slices.EqualFunc(l.Cards, now.Cards, func(a, b api.PortCard) bool {
		return a.Port == b.Port && a.Service == b.Service && a.Name == b.Name && a.Warning == b.Warning &&
			a.Label == b.Label && slices.Equal(a.Remarks, b.Remarks)
	})
}

// ports are the lists of the sandboxes for which one has been requested.
type ports map[api.Ref]PortList

// Ports returns what listens in a sandbox; without cards and error it was not asked.
func (w ports) Ports(ref api.Ref) PortList { return w[ref] }

// card returns the card of a port, if it is known.
func (w ports) card(ref api.Ref, port int) (api.PortCard, bool) {
	if i, ok := w[ref].has(port); ok {
		return w[ref].Cards[i], true
	}
	return api.PortCard{}, false
}

// addPort adds a port that began to listen; it reports whether it is new.
func (w ports) addPort(card api.PortCard) bool {
	known, listed := w[card.Sandbox]
	if _, there := known.has(card.Port.Port); there {
		return false // the list had it already
	}
	if listed && known.Err == nil {
		known.Cards = append(slices.Clone(known.Cards), card)
		slices.SortFunc(known.Cards, func(a, b api.PortCard) int { return cmp.Compare(a.Port.Port, b.Port.Port) })
		w[card.Sandbox] = known
	}
	return true
}

// replace replaces a list and returns the ports that have opened since the last.
func (w ports) replace(ref api.Ref, now PortList) (opened []api.PortCard) {
	before, known := w[ref]
	w[ref] = now
	if !known || before.Err != nil {
		return nil
	}
	for _, card := range now.Services() {
		if _, there := before.has(card.Port.Port); !there {
			card.Sandbox = ref
			opened = append(opened, card)
		}
	}
	return opened
}

// ForBrowser reports whether a browser can show what answers at a port.
func ForBrowser(c api.PortCard) bool {
	return c.Warning == "" && (c.Service == "http" || c.Service == "https" || c.Service == "vnc")
}
