package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

func looksLikeJSON(raw []byte) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n\ufeff")
	return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[')
}

// prettyJSON formats JSON on several lines. It may be several values, and may be
// cut, as it is captured; false if it is not JSON.
func prettyJSON(raw []byte) (string, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var w jsonWriter
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if w.out.Len() == 0 {
				return "", false
			}
			return w.out.String(), true
		case err != nil:
			return "", false
		}
		w.token(token)
	}
}

// jsonWriter writes tokens on lines.
type jsonWriter struct {
	out   strings.Builder
	open  []jsonLevel
	named bool // a name was written; its value is next
}

// jsonLevel is an object or array that is not closed yet.
type jsonLevel struct{ object, filled bool }

func (w *jsonWriter) token(token json.Token) {
	delim, isDelim := token.(json.Delim)
	if isDelim && (delim == '}' || delim == ']') {
		level := w.open[len(w.open)-1]
		w.open = w.open[:len(w.open)-1]
		if level.filled {
			w.line()
		}
		w.out.WriteString(delim.String())
		w.named = false
		return
	}
	w.separate()
	if w.top().object && !w.named {
		name, _ := token.(string) // the decoder accepts only strings as names
		w.out.WriteString(jsonText(name) + ": ")
		w.named = true
		return
	}
	w.named = false
	if isDelim {
		w.open = append(w.open, jsonLevel{object: delim == '{'})
		w.out.WriteString(delim.String())
		return
	}
	w.out.WriteString(jsonText(token))
}

func (w *jsonWriter) top() jsonLevel {
	if len(w.open) == 0 {
		return jsonLevel{}
	}
	return w.open[len(w.open)-1]
}

// separate writes what must be between the previous token and the next.
func (w *jsonWriter) separate() {
	switch {
	case w.named: // a value is on the line of its name
	case len(w.open) > 0:
		level := &w.open[len(w.open)-1]
		if level.filled {
			w.out.WriteByte(',')
		}
		level.filled = true
		w.line()
	case w.out.Len() > 0:
		w.line()
	}
}

func (w *jsonWriter) line() {
	w.out.WriteString("\n" + strings.Repeat("  ", min(len(w.open), 40)))
}

// jsonText is a scalar as JSON, without the escapes that are for HTML.
func jsonText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
