// Package contract holds the answers of a server to its OpenAPI document. It
// is for tests: of the server itself and of the whole program.
package contract

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

const base = "openapi.json"

// Contract is an OpenAPI document. Its methods may be called from any goroutine.
type Contract struct {
	document map[string]any
	root     any
}

// Load reads a document. Objects in it may have no other fields than those that
// it names, so that a field which the document forgot shows.
func Load(t testing.TB, document []byte) *Contract {
	t.Helper()
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	c := &Contract{document: root.(map[string]any), root: root}
	for _, schema := range c.at(t, "components", "schemas") {
		if object := schema.(map[string]any); object["properties"] != nil && object["additionalProperties"] == nil {
			object["additionalProperties"] = false
		}
	}
	return c
}

// at is a part of the document.
func (c *Contract) at(t testing.TB, path ...string) map[string]any {
	t.Helper()
	part := c.document
	for _, name := range path {
		next, ok := part[name].(map[string]any)
		require.True(t, ok, "the document has no %s", strings.Join(path, "/"))
		if ref, ok := next["$ref"].(string); ok && next["properties"] == nil {
			next = c.at(t, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
		part = next
	}
	return part
}

// Check holds an answer to what the document says of its operation: status,
// media type, schema. What is at no path of the document is not looked at, nor
// is what a service behind a forwarded path answers.
func (c *Contract) Check(t testing.TB, method, target string, status int, header http.Header, body []byte) {
	t.Helper()
	target, _, _ = strings.Cut(target, "?")
	path, ok := c.pathOf(t, target)
	if !ok || status == http.StatusMethodNotAllowed {
		return
	}
	if method == http.MethodHead {
		method, body = http.MethodGet, nil
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if status == http.StatusTemporaryRedirect || status >= 400 && kind == "text/html" {
		return // what browsers get
	}
	operations := c.at(t, "paths", path)
	operation, ok := operations[strings.ToLower(method)].(map[string]any)
	if !ok {
		require.True(t, operations["patch"] != nil || status >= 400, "%s %s answers %d and is not in the document", method, target, status)
		return
	}
	if responses := operation["responses"].(map[string]any); responses["default"] != nil && (kind != "application/problem+json" || header.Get("Cache-Control") != "no-store") {
		return // a service's own
	}
	require.NoError(t, err, "%s %s: the answer's type", method, target)
	where := []string{"paths", path, strings.ToLower(method), "responses"}
	response := c.at(t, append(where, strconv.Itoa(status))...)
	content, _ := response["content"].(map[string]any)
	require.Contains(t, content, kind, "%s %s answers %d with a type that the document does not name", method, target, status)
	at := c.place(t, path, strings.ToLower(method), status) + "/content/" + escape(kind) + "/schema"
	for _, document := range documents(kind, body) {
		c.validate(t, method+" "+target, at, document)
	}
}

// place is where the response is, as a JSON pointer.
func (c *Contract) place(t testing.TB, path, method string, status int) string {
	t.Helper()
	responses := c.at(t, "paths", path, method, "responses")
	if response := responses[strconv.Itoa(status)].(map[string]any); response["$ref"] != nil {
		return response["$ref"].(string)
	}
	return "#/paths/" + escape(path) + "/" + method + "/responses/" + strconv.Itoa(status)
}

func escape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B").Replace(s)
}

func (c *Contract) validate(t testing.TB, what, at string, document []byte) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(base, c.root))
	schema, err := compiler.Compile(base + at)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err, "%s: %s", what, document)
	require.NoError(t, schema.Validate(value), "%s: %s", what, document)
}

// documents are the JSON documents in a body of that type.
func documents(kind string, body []byte) [][]byte {
	if len(body) == 0 {
		return nil
	}
	var all [][]byte
	switch kind {
	case "text/event-stream":
		for line := range bytes.Lines(body) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				all = append(all, data)
			}
		}
	case "application/x-ndjson":
		for line := range bytes.Lines(body) {
			all = append(all, line)
		}
	case "application/json", "application/problem+json":
		all = append(all, body)
	default: // text
		quoted, _ := json.Marshal(string(body))
		all = append(all, quoted)
	}
	return all
}

// pathOf is the path of the document that a target belongs to; literal
// segments count for more than variable ones.
func (c *Contract) pathOf(t testing.TB, target string) (string, bool) {
	t.Helper()
	best, most := "", -1
	for path := range c.at(t, "paths") {
		if literal, ok := fits(path, target); ok && literal > most {
			best, most = path, literal
		}
	}
	return best, most >= 0
}

// fits says whether a target is of a path, and how many segments are literal.
func fits(path, target string) (literal int, ok bool) {
	want, have := strings.Split(path, "/"), strings.Split(target, "/")
	if want[len(want)-1] == "{path}" && len(have) >= len(want) {
		want, have = want[:len(want)-1], have[:len(want)-1]
	}
	if len(want) != len(have) {
		return 0, false
	}
	for i, segment := range want {
		switch {
		case segment == have[i]:
			literal++
		case !strings.HasPrefix(segment, "{") || have[i] == "":
			return 0, false
		}
	}
	return literal, true
}
