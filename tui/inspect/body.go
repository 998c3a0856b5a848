package inspect

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// shownBody is the captured beginning of a body, made readable.
type shownBody struct {
	mediaType string
	size      int64    // of the whole body as it was transferred
	packed    string   // its content encoding
	lines     []string // clean text
	binary    []byte   // shown as a hex dump instead
	part      string   // how much of it is shown; empty: all
	note      string
}

// readBody makes a body readable, of which captured of whole bytes were captured.
func readBody(h http.Header, raw []byte, captured, whole int64) shownBody {
	b := shownBody{size: whole}
	if media, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil {
		b.mediaType = media
	}
	if encoding := strings.ToLower(h.Get("Content-Encoding")); captured > 0 && encoding != "" &&
		encoding != "identity" {
		b.packed = text.Clean(encoding)
	}
	switch {
	case captured == 0 && whole > 0:
		b.note = "not kept: not captured, or discarded for later requests"
	case captured > 0 && len(raw) == 0:
		b.note = "packed in a way that is not read here"
	case captured < whole:
		b.part = fmt.Sprintf("first %s of %s", format.Size(captured), format.Size(whole))
		b.note = "the " + b.part
	}
	pretty, isJSON := "", false
	if strings.HasSuffix(b.mediaType, "json") || looksLikeJSON(raw) {
		pretty, isJSON = prettyJSON(raw)
	}
	switch {
	case b.mediaType == "application/x-www-form-urlencoded" && len(raw) > 0:
		b.lines = formLines(string(raw))
	case isJSON:
		b.lines = textLines(pretty)
	case isText(raw):
		b.lines = textLines(string(raw))
	default:
		b.binary = raw
	}
	return b
}

// title returns the text after "Request" and "Response".
func (b *shownBody) title() []string {
	out := []string{cmp.Or(b.part, format.Size(b.size))}
	if b.size == 0 {
		return []string{"no body"}
	}
	if b.mediaType != "" {
		out = append(out, text.Clean(b.mediaType))
	}
	if b.packed != "" {
		out = append(out, "compressed ("+b.packed+")")
	}
	return out
}

// isText reports whether a body, perhaps cut within a character, is text.
func isText(raw []byte) bool {
	for i := 0; i < utf8.UTFMax && len(raw) > 0 && !utf8.Valid(raw); i++ {
		if r, n := utf8.DecodeLastRune(raw); r != utf8.RuneError || n != 1 {
			break
		}
		raw = raw[:len(raw)-1]
	}
	if !utf8.Valid(raw) {
		return false
	}
	odd := 0
	for _, c := range raw {
		if c == 0 {
			return false
		}
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != 0x1b {
			odd++
		}
	}
	return odd*20 <= len(raw)
}

// textLines returns the cleaned lines of a text; long lines are not split.
func textLines(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		out = append(out, cleanWhole(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")))
	}
	return out
}

// cleanWhole is text.Clean for a line of any length.
func cleanWhole(line string) string {
	var b strings.Builder
	for len(line) > 2048 { // Clean has a limit
		n := 2048
		for n > 2040 && !utf8.RuneStart(line[n]) {
			n--
		}
		b.WriteString(text.Clean(line[:n]))
		line = line[n:]
	}
	return b.String() + text.Clean(line)
}

func formLines(s string) []string {
	var out []string
	for field := range strings.SplitSeq(s, "&") {
		name, value, found := strings.Cut(field, "=")
		name, value = unescaped(name), unescaped(value)
		if found {
			name += " = "
		}
		out = append(out, strings.Join(textLines(name+value), " "))
	}
	return out
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// hexDump returns lines of offset, bytes and characters, as many as fit.
func hexDump(raw []byte, width int) []string {
	const address, each = 10, 4 // "00000000  ", then "ff " and a character
	n := 16
	for n > 4 && address+n*each+2 > width {
		n /= 2
	}
	out := make([]string, 0, len(raw)/n+1)
	for at := 0; at < len(raw); at += n {
		part := raw[at:min(len(raw), at+n)]
		chars := slices.Clone(part)
		for i, c := range chars {
			if c < 0x20 || c > 0x7e {
				chars[i] = '.'
			}
		}
		out = append(out, fmt.Sprintf("%08x  %-*s %s", at, n*3, fmt.Sprintf("% x", part), chars))
	}
	return out
}

// frameData returns the beginning of a frame on one line.
func frameData(f *api.Frame) string {
	data := f.Data
	if f.Opcode == 8 && len(data) >= 2 {
		return strings.TrimSpace(fmt.Sprintf("%d %s", binary.BigEndian.Uint16(data), text.Clean(string(data[2:]))))
	}
	more := ""
	if int64(len(data)) < f.Size && len(data) > 0 {
		more = " ..."
	}
	if f.Opcode == 2 || f.Compressed || !isText(data) {
		if len(data) > 64 {
			data, more = data[:64], " ..."
		}
		return hex.EncodeToString(data) + more
	}
	return text.Clean(strings.TrimRight(string(data), "\r\n")) + more
}

var endings = map[string]string{
	"application/json": ".json", "text/html": ".html", "text/plain": ".txt", "text/css": ".css", "text/csv": ".csv",
	"text/javascript": ".js", "application/javascript": ".js", "application/xml": ".xml", "text/xml": ".xml",
	"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg", "image/gif": ".gif", "image/webp": ".webp",
	"application/pdf": ".pdf", "application/zip": ".zip", "application/wasm": ".wasm",
	"application/x-www-form-urlencoded": ".txt",
}

// fileEnding returns the extension of a file with such a body.
func fileEnding(h http.Header) string {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type")) // an invalid one has no extension
	packed := map[string]string{"gzip": ".gz", "x-gzip": ".gz", "br": ".br", "zstd": ".zst"}
	return cmp.Or(endings[media], ".bin") + packed[strings.ToLower(h.Get("Content-Encoding"))]
}
