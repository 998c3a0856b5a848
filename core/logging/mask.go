package logging

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hidden stands for a secret.
const hidden = "***"

// secretWords are what a word of a name ends in if its value is a secret, in
// the plural too. secretKeys are held by the whole name, and secretNames are
// whole names; both without what separates words.
var (
	secretWords = []string{"token", "secret", "password", "passwd", "passphrase", "pwd", "signature", "authorization",
		"credential", "cookie", "session", "sessionid", "sessid", "jwt"}
	secretKeys  = []string{"apikey", "accesskey", "privatekey", "secretkey"}
	secretNames = []string{"auth", "sig", "sid", "pass", "pw", "pin", "otp", "cvv", "cvc", "bearer"}
	// In queries, which are copied and sent on, more is hidden: whatever holds
	// one of the words or these.
	queryWords = []string{"key", "code", "auth"}
)

// SecretName reports whether what has that name is a secret: a header, a member of
// JSON, a field of a form. "max_tokens" is how many, with those who count words.
func SecretName(name string) bool {
	words := wordsOf(name)
	whole := strings.Join(words, "")
	if slices.Contains(secretNames, whole) ||
		slices.ContainsFunc(secretKeys, func(k string) bool { return strings.Contains(whole, k) }) {
		return true
	}
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.ContainsFunc(secretWords, func(s string) bool {
			return strings.HasSuffix(word, s) || s != "token" && strings.HasSuffix(word, s+"s")
		})
	})
}

// wordsOf are the words of a name, in lower case: a capital behind a small
// letter or a digit begins one.
func wordsOf(name string) (words []string) {
	start := 0
	for i := range len(name) {
		switch c := name[i]; {
		case strings.IndexByte("-_. []", c) >= 0:
			if i > start {
				words = append(words, strings.ToLower(name[start:i]))
			}
			start = i + 1
		case i > start && c >= 'A' && c <= 'Z' &&
			(name[i-1] >= 'a' && name[i-1] <= 'z' || name[i-1] >= '0' && name[i-1] <= '9'):
			words = append(words, strings.ToLower(name[start:i]))
			start = i
		}
	}
	if start < len(name) {
		words = append(words, strings.ToLower(name[start:]))
	}
	return words
}

// secretField is SecretName for a field of a form, which may hold what an
// authorization was given for.
func secretField(name, _ string) bool {
	name = unescaped(name)
	return SecretName(name) || name == "code"
}

// MaskQuery hides the values in a raw query whose names say that they are
// secret, and leaves all other bytes as they are. It allocates only if there
// is something to hide.
func MaskQuery(query string) string {
	masked, _ := maskValues(query, hidden, secretParameter)
	return masked
}

func maskValues(query, mask string, secret func(name, value string) bool) (masked string, changed bool) {
	var b *strings.Builder
	kept := 0 // what is in b of query
	for start := 0; start <= len(query); {
		end := start + strings.IndexAny(query[start:], "&;")
		if end < start {
			end = len(query)
		}
		pair := query[start:end]
		if eq := strings.IndexByte(pair, '='); eq >= 0 && eq+1 < len(pair) && secret(pair[:eq], pair[eq+1:]) {
			if b == nil {
				b = &strings.Builder{}
			}
			b.WriteString(query[kept : start+eq+1])
			b.WriteString(mask)
			kept = end
		}
		start = end + 1
	}
	if b == nil {
		return query, false
	}
	b.WriteString(query[kept:])
	return b.String(), true
}

// secretParameter reports whether a parameter of that name holds a secret.
func secretParameter(name, value string) bool {
	name = unescaped(name)
	if holdsWord(name) || strings.EqualFold(name, "state") {
		return true
	}
	for _, whole := range secretNames {
		if strings.EqualFold(name, whole) {
			return true
		}
	}
	return holdsSecret(value)
}

func unescaped(s string) string {
	if strings.IndexByte(s, '%') >= 0 {
		if plain, err := url.QueryUnescape(s); err == nil {
			return plain
		}
	}
	return s
}

func holdsWord(s string) bool {
	for _, words := range [...][]string{secretWords, queryWords} {
		for _, word := range words {
			if containsFold(s, word) {
				return true
			}
		}
	}
	return false
}

// holdsSecret reports whether a value is itself a target with a secret parameter:
// next=%2Ftree%3Ftoken%3Dabc.
func holdsSecret(value string) bool {
	if !containsFold(value, "%3d") && strings.IndexByte(value, '=') < 0 {
		return false
	}
	return holdsWord(value)
}

// containsFold is strings.Contains for a lower-case ASCII word in any case.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// MaskTarget hides the secrets of a request target: tokens of preview links,
// of which three characters remain, and secret values in the query.
func MaskTarget(target string) string {
	path, query, has := strings.Cut(target, "?")
	masked := MaskPath(path)
	if !has {
		return MaskTokens(masked)
	}
	if q := MaskQuery(query); masked != path || len(q) != len(query) || q != query {
		return MaskTokens(masked + "?" + q)
	}
	return MaskTokens(target)
}

// tokenLength is how long the token of a link is.
const tokenLength = 32

// MaskTokens hides what looks like the token of a link, wherever in s it is: as
// the path of a WebSocket in a query, in a Referer, under a misspelt route, in
// capitals, as a host name takes it, or escaped. Where a token is escaped, all
// letters and digits of s are returned without escapes. It allocates only if
// there is something to hide or to unescape.
func MaskTokens(s string) string {
	masked := maskRuns(s)
	plain := masked
	for range unescapeTimes {
		next := unescapeTokens(plain)
		if next == plain {
			break
		}
		plain = maskRuns(next)
		if plain != next {
			masked = plain
		}
	}
	return masked
}

// unescapeTimes is how often a token may be escaped and is still found.
const unescapeTimes = 3

// maskRuns masks each run of the letters and digits of tokens that may hold one.
// Names in mixed case are not tokens.
func maskRuns(s string) string {
	return maskRunsOf(maskRunsOf(s, 'a'), 'A')
}

// maskRunsOf is maskRuns for the letters that begin with first: 'a' or 'A'.
func maskRunsOf(s string, first byte) string {
	var b strings.Builder
	kept := 0 // what is in b of s
	for i := 0; i+tokenLength <= len(s); {
		start := i + tokenLength // of the run that ends with the byte before
		for start > i && tokenByte(s[start-1], first) {
			start--
		}
		if start > i { // no token begins before start
			i = start
			continue
		}
		end := start + tokenLength
		for end < len(s) && tokenByte(s[end], first) {
			end++
		}
		i = end
		// Letters alone that are more than a token are words.
		if end-start > tokenLength && !strings.ContainsAny(s[start:end], "234567") {
			continue
		}
		b.WriteString(s[kept:start])
		b.WriteString(MaskToken(s[start:end]))
		kept = end
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}

// tokenByte reports whether c may be in a token whose letters begin with first.
func tokenByte(c, first byte) bool { return c-first < 26 || c >= '2' && c <= '7' }

// unescapeTokens is s with each %XX replaced by its byte if that may be part of
// a token, or of such an escape. All others stay: what they stand for could end
// a line or a parameter.
func unescapeTokens(s string) string {
	first := strings.IndexByte(s, '%')
	if first < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	b = append(b, s[:first]...)
	for i := first; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			if c := fromHex(s[i+1])<<4 | fromHex(s[i+2]); c == '%' || tokenByte(c, 'a') || tokenByte(c, 'A') {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// Cut is text, or its first limit bytes and "…" if it is longer. It does not end
// within a word: half a secret would not be recognized and masked.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > max(0, limit-longestSecret) && (isWord(text[end-1]) || text[end]&0xc0 == 0x80) {
		end--
	}
	return strings.Clone(text[:end]) + "…"
}

// longestSecret is how far Cut goes back for the beginning of a word.
const longestSecret = 256

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-' || c == '%'
}

// longestTarget and longestMethod are how many bytes of a request line are logged.
const (
	longestTarget = 2 << 10
	longestMethod = 64
)

// ShownMethod is a request's method for people: long ones are cut, and a token
// in its place is masked.
func ShownMethod(method string) string { return Printable(MaskTokens(Cut(method, longestMethod))) }

// ShownTarget is a request's target for people: secrets are masked, and a long
// one is cut and followed by its length.
func ShownTarget(target string) string {
	shown := MaskTarget(Cut(target, longestTarget))
	if len(target) > longestTarget {
		return shown + " (" + strconv.Itoa(len(target)) + " bytes)"
	}
	return shown
}

// MaskPath hides the token in the path of a preview link, or of the API's
// route that ends one.
func MaskPath(path string) string {
	for _, prefix := range []string{"/preview/", "//preview/", "/api/preview/"} {
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok {
			continue
		}
		token, _, _ := strings.Cut(rest, "/")
		if prefix == "/api/preview/" && len(token) <= idLength {
			return path // a public id, or a route's name
		}
		return prefix + MaskToken(token) + rest[len(token):]
	}
	return path
}

// idLength is how long the public id of a link is.
const idLength = 10

// MaskToken is what may be shown of a token: its first three characters.
func MaskToken(token string) string {
	const shown = 3
	if len(token) <= shown {
		return token
	}
	return token[:shown] + "…"
}

// Printable is s with everything escaped that should not reach a terminal: control
// characters, line ends, characters that reorder text, bytes that are not UTF-8.
func Printable(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= 0x20 && s[i] < 0x7f
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + hex(s[i]>>4) + hex(s[i]&15))
		case r == ' ' || unicode.IsPrint(r):
			b.WriteString(s[i : i+n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x100:
			b.WriteString(`\x` + hex(byte(r)>>4) + hex(byte(r)&15))
		default:
			b.WriteString(`\u{`)
			for shift := 20; shift >= 0; shift -= 4 {
				if r>>shift != 0 || shift == 0 {
					b.WriteString(hex(byte(r>>shift) & 15))
				}
			}
			b.WriteString(`}`)
		}
		i += n
	}
	return b.String()
}

func hex(nibble byte) string { return "0123456789abcdef"[nibble : nibble+1] }
