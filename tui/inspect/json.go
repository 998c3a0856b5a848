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
	var out strings.Builder
	type level struct{ object, filled bool }
	open := []level{{}} // objects and arrays that are not closed yet, in the outermost level
	line := func() { out.WriteString("\n" + strings.Repeat("  ", min(len(open)-1, 40))) }
	for named := false; ; { // named: a name was written; its value is next
		token, err := d.Token()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.String(), out.Len() > 0
		} else if err != nil {
			return "", false
		}
		in := &open[len(open)-1]
		delim, _ := token.(json.Delim)
		if delim == '}' || delim == ']' {
			open = open[:len(open)-1]
			if in.filled {
				line()
			}
			out.WriteString(delim.String())
			named = false
			continue
		}
		if !named && in.filled {
			if len(open) > 1 {
				out.WriteByte(',')
			}
			line()
		} else if !named && len(open) > 1 {
			line()
		}
		in.filled = true
		switch {
		case in.object && !named:
			out.WriteString(jsonText(token) + ": ")
			named = true
			continue
		case delim != 0:
			open = append(open, level{object: delim == '{'})
			out.WriteString(delim.String())
		default:
			out.WriteString(jsonText(token))
		}
		named = false
	}
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
