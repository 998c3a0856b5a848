package traffic

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"daemon-proxy/core/api"
)

// Filter selects exchanges. The zero Filter matches all.
type Filter struct{ terms []term }

// mostTerms bounds how often a filter reads each exchange.
const mostTerms = 50

type term struct {
	not   bool
	match func(api.Exchange) bool
}

// ParseFilter reads words that must all hold:
//
//	status:5xx  status:404  method:post  port:3000  path:/api  sandbox:web
//	engine:lab  kind:preview  protocol:websocket  link:ID  live:true  text
//
// Text is looked for in method, path, sandbox and note, whatever its case. A
// "!" before a word turns it round; quotes hold a word with spaces together.
// The error names the word that it does not understand.
func ParseFilter(text string) (Filter, error) {
	words, err := split(text)
	if err != nil {
		return Filter{}, err
	}
	if len(words) > mostTerms {
		return Filter{}, fmt.Errorf("a filter has at most %d words, not %d", mostTerms, len(words))
	}
	var f Filter
	for _, word := range words {
		t := term{}
		word, t.not = strings.CutPrefix(word, "!")
		if t.match, err = parseTerm(word); err != nil {
			return Filter{}, err
		}
		f.terms = append(f.terms, t)
	}
	return f, nil
}

// Match reports whether x matches the filter.
func (f Filter) Match(x api.Exchange) bool {
	for _, t := range f.terms {
		if t.match(x) == t.not {
			return false
		}
	}
	return true
}

func parseTerm(word string) (func(api.Exchange) bool, error) {
	if text, ok := strings.CutPrefix(word, quoted); ok {
		return containsText(text), nil
	}
	key, value, found := strings.Cut(word, ":")
	if !found {
		return containsText(word), nil
	}
	equals := func(get func(api.Exchange) string) func(api.Exchange) bool {
		return func(x api.Exchange) bool { return strings.EqualFold(get(x), value) }
	}
	switch strings.ToLower(key) {
	case "status":
		return parseStatus(word, value)
	case "port":
		port, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("%q: a port is a number, as in port:3000", word)
		}
		return func(x api.Exchange) bool { return x.Port == port }, nil
	case "method":
		return equals(func(x api.Exchange) string { return x.Method }), nil
	case "sandbox":
		return func(x api.Exchange) bool {
			return strings.EqualFold(x.Sandbox, value) || strings.EqualFold(x.Ref.String(), value) ||
				strings.EqualFold(x.Ref.Long(), value)
		}, nil
	case "engine":
		return equals(func(x api.Exchange) string { return x.Ref.Engine }), nil
	case "kind":
		return equals(func(x api.Exchange) string { return x.Kind }), nil
	case "protocol":
		return equals(func(x api.Exchange) string { return x.Protocol }), nil
	case "link":
		return equals(func(x api.Exchange) string { return x.LinkID }), nil
	case "live":
		return equals(func(x api.Exchange) string { return strconv.FormatBool(x.Live) }), nil
	case "path":
		return func(x api.Exchange) bool { return strings.Contains(x.Path, value) }, nil
	}
	return nil, fmt.Errorf("unknown key %q; the keys are status, method, port, path, sandbox, engine, kind, protocol, "+
		"link and live; quote text that contains a colon", key)
}

func parseStatus(word, value string) (func(api.Exchange) bool, error) {
	if len(value) == 3 && strings.EqualFold(value[1:], "xx") && value[0] >= '1' && value[0] <= '5' {
		class := int(value[0] - '0')
		return func(x api.Exchange) bool { return x.Status/100 == class }, nil
	}
	status, err := strconv.Atoi(value)
	if err != nil {
		return nil, fmt.Errorf("%q: a status is a number or a class, as in status:404 or status:5xx", word)
	}
	return func(x api.Exchange) bool { return x.Status == status }, nil
}

func containsText(text string) func(api.Exchange) bool {
	text = strings.ToLower(text)
	return func(x api.Exchange) bool {
		for _, s := range []string{x.Path, x.Method, x.Sandbox, x.Note} {
			if strings.Contains(strings.ToLower(s), text) {
				return true
			}
		}
		return false
	}
}

// quoted begins a word that stood in quotes from its first letter on: it is
// text, and a colon in it is no key's.
const quoted = "\x00"

// split cuts text at spaces outside quotes.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inQuotes, begun := false, false
	for _, r := range text {
		switch {
		case r == '"':
			if !begun || word.String() == "!" {
				word.WriteString(quoted)
			}
			inQuotes, begun = !inQuotes, true
		case unicode.IsSpace(r) && !inQuotes:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if inQuotes {
		return nil, fmt.Errorf("a quote is not closed in %q", text)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
