package ports

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"daemon-proxy/core/api"
)

// devcontainerLabel holds what a devcontainer was made from: an object, or a
// list of them of which later ones count more.
// See https://containers.dev/implementors/reference/#labels
const devcontainerLabel = "devcontainer.metadata"

// The label is read up to so many bytes, and so many rules of it: each may hold
// an expression, which costs far more than its text and may have so many parts.
const (
	longestLabel = 64 << 10
	mostRules    = 100
	mostParts    = 500
)

// portAttributes is what its author says of a port.
type portAttributes struct {
	Label    string
	Protocol string // "http", "https" or empty
	Path     string
}

// devcontainer is what a container's label says of its ports.
type devcontainer struct {
	forwarded map[int]bool
	ports     []portRule
}

// portRule is one entry of portsAttributes.
type portRule struct {
	low, high int
	pattern   *regexp.Regexp // instead of the two
	portAttributes
}

// readDevcontainer reads the label. What it does not understand is left out:
// the label is the container's, and may hold anything.
func readDevcontainer(label string) devcontainer {
	d := devcontainer{forwarded: map[int]bool{}}
	if label == "" || len(label) > longestLabel {
		return d
	}
	var parts []json.RawMessage
	if json.Unmarshal([]byte(label), &parts) != nil {
		parts = []json.RawMessage{json.RawMessage(label)}
	}
	read := 0
	for _, part := range parts {
		var said struct {
			ForwardPorts    []json.RawMessage
			PortsAttributes map[string]json.RawMessage
		}
		if json.Unmarshal(part, &said) != nil {
			continue
		}
		for _, raw := range said.ForwardPorts {
			if port, err := strconv.Atoi(strings.Trim(string(raw), `"`)); err == nil {
				d.forwarded[port] = true // "service:port" is another container's
			}
		}
		keys := slices.SortedFunc(maps.Keys(said.PortsAttributes), func(a, b string) int { // ports are short
			return cmp.Or(len(a)-len(b), strings.Compare(a, b))
		})
		for _, key := range keys {
			if read++; read > mostRules {
				break
			}
			var rule portRule
			if json.Unmarshal(said.PortsAttributes[key], &rule.portAttributes) == nil && rule.parse(key) {
				d.ports = append(d.ports, rule)
			}
		}
	}
	return d
}

// parse reads the key of portsAttributes: a port, a range, or an expression.
func (r *portRule) parse(key string) bool {
	low, high, isRange := strings.Cut(key, "-")
	if !isRange {
		high = low
	}
	var err, err2 error
	r.low, err = strconv.Atoi(low)
	r.high, err2 = strconv.Atoi(high)
	if err == nil && err2 == nil {
		return true
	}
	if len(key) > 200 {
		return false
	}
	if parsed, err := syntax.Parse(key, syntax.Perl); err != nil || partsOf(parsed) > mostParts {
		return false
	}
	r.pattern, err = regexp.Compile(key)
	return err == nil
}

// partsOf is how many characters and operators an expression has once its
// repetitions are written out: "(ab){3}" has twelve.
func partsOf(expression *syntax.Regexp) int {
	parts := 1 + len(expression.Rune)
	for _, sub := range expression.Sub {
		parts += partsOf(sub)
	}
	if expression.Op == syntax.OpRepeat {
		parts *= max(expression.Min, expression.Max, 1)
	}
	return parts
}

// matches says how well the rule fits: 0 not at all, most for the port itself.
func (r portRule) matches(port int) int {
	switch {
	case r.pattern != nil && r.pattern.MatchString(strconv.Itoa(port)):
		return 1
	case r.pattern != nil || port < r.low || port > r.high:
		return 0
	case r.low == r.high:
		return 3
	}
	return 2
}

// complete adds what the label says to a card.
func (d devcontainer) complete(card *api.PortCard) {
	best, says := 0, portAttributes{}
	for _, rule := range d.ports {
		if n := rule.matches(card.Port.Port); n > 0 && n >= best {
			best, says = n, rule.portAttributes
		}
	}
	if d.forwarded[card.Port.Port] {
		card.Remarks = append(card.Remarks, "forwarded")
	}
	if says.Label != "" {
		card.Label = oneLine(says.Label)
	}
	if strings.HasPrefix(says.Path, "/") {
		card.Path = oneLine(says.Path)
	}
	if says.Protocol == "https" && (card.Service == "other" || card.Service == "unknown") {
		isTLS(card, "")
	}
}
