package logging

import (
	"bufio"
	"bytes"
	"encoding/json"
	"mime"
	"net/textproto"
	"slices"
	"strings"
)

// MaskBody is a body of that Content-Type with mask in place of each value in
// JSON or in a form whose name says that it is a secret; all else stays as it
// is. What only holds JSON in places counts too, and what is cut or broken.
func MaskBody(contentType string, body []byte, mask string) []byte {
	media, parameters, _ := mime.ParseMediaType(contentType)
	switch {
	case media == "application/x-www-form-urlencoded":
		if form, masked := maskValues(string(body), mask, secretField); masked {
			return []byte(form)
		}
		return body
	case strings.HasPrefix(media, "multipart/") && parameters["boundary"] != "":
		return maskParts(body, "--"+parameters["boundary"], mask)
	}
	return maskJSON(body, mask)
}

// maskParts masks the contents of a form's parts by their names (RFC 7578 §4.2),
// and JSON within the others.
func maskParts(body []byte, delimiter, mask string) []byte {
	parts := bytes.Split(body, []byte(delimiter))
	for i, part := range parts {
		_, content, whole := bytes.Cut(part, []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		head := part[:len(part)-len(content)]
		h, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(head, " \t\r\n")))).ReadMIMEHeader()
		disposition := h.Get("Content-Disposition")
		_, parameters, err := mime.ParseMediaType(disposition)
		if readable := disposition == "" || err == nil; readable && !secretField(parameters["name"], "") {
			parts[i] = maskJSON(part, mask)
			continue
		}
		lineEnd := ""
		if bytes.HasSuffix(content, []byte("\r\n")) {
			lineEnd = "\r\n"
		}
		parts[i] = slices.Concat(head, []byte(mask+lineEnd))
	}
	return bytes.Join(parts, []byte(delimiter))
}

func maskJSON(body []byte, mask string) []byte {
	var out []byte
	kept := 0 // what is in out of body
	for at := 0; at < len(body); {
		quote := bytes.IndexByte(body[at:], '"')
		if quote < 0 {
			break
		}
		at += quote
		value := jsonValue(body, at)
		if value < 0 {
			at++ // nothing is skipped: where strings begin is not known in what is no JSON
			continue
		}
		at = value
		end := jsonEnd(body, value)
		if end == value || string(body[value:end]) == "null" {
			continue
		}
		out = append(out, body[kept:value]...)
		out = append(out, `"`+mask+`"`...)
		at, kept = end, end
	}
	if out == nil {
		return body
	}
	return append(out, body[kept:]...)
}

// longestName is how long the name of a secret is at most, in bytes of JSON.
const longestName = 100

// jsonValue is where the value begins whose name begins at the quote at start;
// -1 if there is no name, or none of a secret.
func jsonValue(body []byte, start int) int {
	end := stringEnd(body[:min(len(body), start+2+longestName)], start)
	if end < 0 {
		return -1
	}
	at := skipSpace(body, end)
	if at == len(body) || body[at] != ':' {
		return -1
	}
	var name string
	if json.Unmarshal(body[start:end], &name) != nil || !SecretName(name) {
		return -1
	}
	return skipSpace(body, at+1)
}

func skipSpace(body []byte, at int) int {
	for at < len(body) && (body[at] == ' ' || body[at] == '\t' || body[at] == '\r' || body[at] == '\n') {
		at++
	}
	return at
}

// stringEnd is behind the string whose quote is at start; -1 if it has no end:
// there is no line end in one.
func stringEnd(body []byte, start int) int {
	for at := start + 1; at < len(body) && body[at] != '\n'; at++ {
		switch body[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return -1
}

// jsonEnd is behind the value at start; one that is cut goes to the end of its
// line, an object or array to the end of all.
func jsonEnd(body []byte, start int) int {
	depth := 0
	for at := start; at < len(body); at++ {
		switch body[at] {
		case '"':
			end := stringEnd(body, at)
			if end < 0 {
				end = at + 1 + lengthTo(body[at+1:], "\n")
			}
			if at = end - 1; depth == 0 {
				return end
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return at + depth + 1 // one that closes something else is none of the value
			}
		default:
			if depth == 0 {
				return at + lengthTo(body[at:], ",}] \t\r\n")
			}
		}
	}
	return len(body)
}

// lengthTo is how many bytes come before the first of these.
func lengthTo(body []byte, first string) int {
	if n := bytes.IndexAny(body, first); n >= 0 {
		return n
	}
	return len(body)
}
