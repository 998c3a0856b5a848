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

// devcontainerLabel holds the metadata of a devcontainer: an object, or a list
// of objects in which later ones take precedence.
// See https://containers.dev/implementors/reference/#labels
const devcontainerLabel = "devcontainer.metadata"

// Limits of what is read of the label: its bytes, its rules, and the parts of a
// rule's regular expression, which costs far more than its text.
const (
	longestLabel = 64 << 10
	mostRules    = 100
	mostParts    = 500
)

// portAttributes is what the label says about a port.
type portAttributes struct {
	Label    string
	Protocol string // "http", "https" or empty
	Path     string
}

// devcontainer is what a container's label says about its ports.
type devcontainer struct {
	forwarded map[int]bool
	ports     []portRule
}

// portRule is one entry of portsAttributes.
type portRule struct {
	low, high int
	pattern   *regexp.Regexp // instead of low and high; nil: none
	portAttributes
}

// readDevcontainer parses the label and ignores what is invalid: the label is
// the container's and may hold anything.
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
		var metadata struct {
			ForwardPorts    []json.RawMessage
			PortsAttributes map[string]json.RawMessage
		}
		if json.Unmarshal(part, &metadata) != nil {
			continue
		}
		for _, raw := range metadata.ForwardPorts {
			if port, err := strconv.Atoi(strings.Trim(string(raw), `"`)); err == nil {
				d.forwarded[port] = true // "service:port" is another container's
			}
		}
		keys := slices.SortedFunc(maps.Keys(metadata.PortsAttributes), func(a, b string) int { // ports first: they are short
			return cmp.Or(len(a)-len(b), strings.Compare(a, b))
		})
		for _, key := range keys {
			if read++; read > mostRules {
				break
			}
			var rule portRule
			if json.Unmarshal(metadata.PortsAttributes[key], &rule.portAttributes) == nil && rule.parse(key) {
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

// partsOf returns how many characters and operators an expression has once its
// repetitions are expanded: "(ab){3}" has twelve.
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

// matches returns how specifically the rule matches a port: 0 if it does not, 3
// if it names the port itself.
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

// complete adds to a card what the label says about its port.
func (d devcontainer) complete(card *api.PortCard) {
	best, attributes := 0, portAttributes{}
	for _, rule := range d.ports {
		if n := rule.matches(card.Port.Port); n > 0 && n >= best {
			best, attributes = n, rule.portAttributes
		}
	}
	if d.forwarded[card.Port.Port] {
		card.Remarks = append(card.Remarks, "forwarded")
	}
	if attributes.Label != "" {
		card.Label = oneLine(attributes.Label)
	}
	if strings.HasPrefix(attributes.Path, "/") {
		card.Path = oneLine(attributes.Path)
	}
	if card.Service == "http" && card.Desktop == "" && desktopWord.MatchString(attributes.Label) {
		card.Desktop = "desktop"
	}
	if attributes.Protocol == "https" && (card.Service == "other" || card.Service == "unknown") {
		isTLS(card, "")
	}
}
