package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

var update = flag.Bool("update", false, "write openapi.json and docs/api.md")

const manual = "../../docs/api.md"

// everywhere are the problems that any request may meet, guarded those of
// requests that the guard looks at.
var (
	everywhere = []string{api.CodeWrongHost, api.CodeOutsidePrefix, api.CodeInternal, api.CodeLoop + ":508"}
	guardedBy  = []string{api.CodeUnauthorized, api.CodeCrossOrigin, api.CodePageMade, api.CodeNotJSON, api.CodeTooLarge, api.CodeBadRequest}
	anyMethod  = []string{"get", "head", "post", "put", "patch", "delete", "options"}
	segment    = regexp.MustCompile(`\{(\w+)\}`)
	ofSegment  = map[string]string{
		"token": "The link's token, or its public id where the API is asked.",
		"name": `The sandbox's name: a container's, "host", or "container:host" for a container of that name. ` +
			`ENGINE/NAME, whose parts may be two segments, is the container of that engine.`,
		"engine": "The engine's name, as the list has it, or its address, escaped.",
		"screen": "The screen's id.",
		"id":     "The request's number.", "port": "The TCP port, 1 to 65535.", "path": "What the service is asked for, slashes included.",
	}
)

// buildDocument makes the OpenAPI document from the table.
func buildDocument(t *testing.T) ([]byte, source) {
	t.Helper()
	s := &schemas{source: readSource(t), named: map[string]object{}, responses: object{}}
	paths := object{}
	for _, row := range routes() {
		item, _ := paths[row.path].(object)
		if item == nil {
			item = object{}
			if names := segment.FindAllStringSubmatch(row.path, -1); names != nil {
				var parameters []any
				for _, name := range names {
					schema := object{"type": "string"}
					if name[1] == "id" || name[1] == "port" {
						schema["type"] = "integer"
					}
					parameters = append(parameters, object{"name": name[1], "in": "path", "required": true, "description": ofSegment[name[1]], "schema": schema})
				}
				item["parameters"] = parameters
			}
			paths[row.path] = item
		}
		methods := anyMethod
		if row.method != "" {
			methods = []string{strings.ToLower(row.method)}
		}
		for _, method := range methods {
			item[method] = s.operation(t, row)
		}
	}
	s.component(reflect.TypeFor[api.Problem]())
	s.named["LinkRequest"]["additionalProperties"] = false // the server refuses what it does not know
	document := object{
		"openapi": "3.1.0",
		"info": object{"title": "daemon-proxy", "version": "1", "license": object{"name": "MIT", "identifier": "MIT"},
			"description": "Links to whatever listens inside containers. Errors are application/problem+json (RFC 9457) with a stable code and a hint."},
		"servers": []any{object{"url": "http://localhost:8080"}},
		"paths":   paths,
		"components": object{"schemas": s.named, "responses": s.responses, "securitySchemes": object{
			"key":    object{"type": "apiKey", "in": "header", "name": "X-API-Key"},
			"bearer": object{"type": "http", "scheme": "bearer"},
		}},
	}
	text, err := json.MarshalIndent(document, "", " ")
	require.NoError(t, err)
	return append(text, '\n'), s.source
}

func (s *schemas) operation(t *testing.T, row route) object {
	t.Helper()
	responses := object{}
	content := object{}
	if row.answer != nil {
		content["application/json"] = object{"schema": s.of(reflect.TypeOf(row.answer))}
	}
	if row.kind != "" {
		schema := object{"type": "string"}
		if row.stream != nil {
			schema = s.of(reflect.TypeOf(row.stream))
		}
		content[row.kind] = object{"schema": schema}
	}
	switch {
	case row.serve == nil:
		responses["default"] = object{"description": "What the service answers, or 307/308 to where it is."}
	case row.message != nil:
		s.of(reflect.TypeOf(row.message))
		responses["101"] = object{"description": "A WebSocket; its text messages are " + nameOf(row.message) + "."}
	default:
		responses["200"] = object{"description": "Done.", "content": content}
	}
	by := s.byStatus(t, row)
	for _, n := range slices.Sorted(maps.Keys(by)) {
		codes := by[n]
		responses[strconv.Itoa(n)] = s.response(n, codes)
	}
	operation := object{"summary": row.summary, "responses": responses}
	if row.about != "" {
		operation["description"] = row.about
	}
	if row.body != nil {
		operation["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(row.body))}}}
	}
	var parameters []any
	for _, p := range row.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.about, "schema": s.of(reflect.TypeOf(p.value))})
	}
	if parameters != nil {
		operation["parameters"] = parameters
	}
	if !row.open {
		security := []any{object{"key": []any{}}, object{"bearer": []any{}}}
		if !row.keyed {
			security = append([]any{object{}}, security...)
		}
		operation["security"] = security
	}
	return operation
}

// response is a reference to the problems of a status; alike ones share it.
func (s *schemas) response(n int, codes []string) object {
	about := "Problem: " + strings.Join(codes, ", ") + "."
	for i := 1; ; i++ {
		name := fmt.Sprintf("Problem%d-%d", n, i)
		known, _ := s.responses[name].(object)
		if known == nil {
			s.responses[name] = object{
				"description": about,
				"content": object{"application/problem+json": object{"schema": object{
					"$ref": "#/components/schemas/Problem", "properties": object{"code": object{"enum": codes}}}}},
			}
		}
		if known == nil || known["description"] == about {
			return object{"$ref": "#/components/responses/" + name}
		}
	}
}

// ownCodes are the problems that are a route's own.
func ownCodes(row route) []string {
	if row.changes {
		return slices.Concat(row.codes, []string{api.CodeReadOnly})
	}
	return row.codes
}

// byStatus sorts a route's problems by their status.
func (s *schemas) byStatus(t *testing.T, row route) map[int][]string {
	t.Helper()
	all := slices.Concat(ownCodes(row), everywhere)
	if !row.open {
		all = append(all, guardedBy...)
		if row.serve != nil {
			all = append(all, api.CodeProtocolMismatch)
		}
	}
	by := map[int][]string{}
	for _, code := range all {
		name, only, _ := strings.Cut(code, ":")
		require.NotEmpty(t, s.codes[name].statuses, "%s: no status in core/api/problem.go", name)
		for _, n := range s.codes[name].statuses {
			if (only == "" || only == strconv.Itoa(n)) && !slices.Contains(by[n], name) {
				by[n] = append(by[n], name)
				slices.Sort(by[n])
			}
		}
	}
	return by
}

func current(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, want, 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, have), "%s is not current: go test ./core/server -run OpenAPI -update", path)
}

func TestOpenAPIIsCurrent(t *testing.T) {
	t.Parallel()
	document, src := buildDocument(t)
	current(t, "openapi.json", document)
	current(t, manual, writeManual(src))
	if !*update {
		f := newFront(t, "127.0.0.1:1", withKey)
		require.Equal(t, string(document), f.get("/openapi.json").Body)
	}
}

// Every row of the table is in the document, and the other way round.
func TestOpenAPIHasTheRoutesAndNoOthers(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(OpenAPI(), &document))
	rows := map[string]bool{}
	f := newFront(t, "127.0.0.1:1", withNews(make(news)))
	for _, row := range routes() {
		methods := anyMethod
		if row.method != "" {
			methods = []string{strings.ToLower(row.method)}
		}
		for _, method := range methods {
			require.Contains(t, document.Paths[row.path], method, row.path)
			rows[method+" "+row.path] = true
		}
		// The router has it too.
		target := strings.NewReplacer("{token}", "abc", "{name}", "web", "{port}", "3000", "{id}", "1", "{path}", "x").Replace(row.path)
		route, err := preview.SplitPath(target)
		require.NoError(t, err)
		require.Equal(t, row.serve == nil, route.Kind != preview.KindOther, row.path)
		if row.serve != nil {
			got := f.do("BREW", target, "")
			require.Equal(t, http.StatusMethodNotAllowed, got.StatusCode, row.path)
			require.Contains(t, got.Header.Get("Allow"), row.method)
		}
		require.Equal(t, !row.open, guarded(target), "%s: what the document says of the key", row.path)
	}
	for path, item := range document.Paths {
		for method := range item {
			require.True(t, method == "parameters" || rows[method+" "+path], "%s %s is in no row", method, path)
		}
	}
}

// writeManual is docs/api.md.
func writeManual(src source) []byte {
	var b strings.Builder
	b.WriteString(`# HTTP API

This page is generated from the program's table of routes. [openapi.json](../core/server/openapi.json), which the program serves at
` + "`/openapi.json`" + `, has the same content and the schemas of all documents.

With ` + "`security.enabled`" + `, every route except the open ones requires the key, in ` + "`X-API-Key`" + ` or as ` + "`Authorization: Bearer`" + `.
Routes that say "needs a key" require one even with security off: the API key, or the random one of the program's current run, which is
in ` + "`core.json`" + ` in its state directory. With ` + "`server.read_only`" + `, every route with the problem ` + "`read_only`" + ` answers with it.
A client may name the protocol that it speaks in ` + "`" + api.ProtocolHeader + ": " + api.Protocol + "`" + `, as the Go client and the commands do; with another major
number, every route except the open ones answers with ` + "`protocol_mismatch`" + `. A larger minor number means additions only: clients
ignore unknown fields and unknown kinds of events. ` + "`/health`" + ` has the server's number.
Every ` + "`GET`" + ` route also accepts ` + "`HEAD`" + `. Errors are ` + "`application/problem+json`" + ` with ` + "`title`, `status`, `code`, `detail` and `hint`" + `;
the codes are at the end. Pages in a browser may use only previews.
`)
	for _, row := range routes() {
		method := row.method
		if method == "" {
			method = "ANY"
		}
		b.WriteString("\n## " + method + " " + row.path + "\n\n" + row.summary + ".")
		if row.open {
			b.WriteString(" Open.")
		}
		if row.keyed {
			b.WriteString(" Needs a key.")
		}
		b.WriteString("\n")
		if row.about != "" {
			b.WriteString("\n" + row.about + "\n")
		}
		for _, p := range row.query {
			b.WriteString("\n- `?" + p.name + "=` " + p.about)
		}
		if row.query != nil {
			b.WriteString("\n")
		}
		if row.body != nil {
			b.WriteString("\n| field of the body | type | is |\n|---|---|---|\n" + fields(src, reflect.TypeOf(row.body)))
		}
		if row.answer != nil && reflect.TypeOf(row.answer).Kind() == reflect.Struct {
			b.WriteString("\nAnswers with [" + nameOf(row.answer) + "](#" + strings.ToLower(nameOf(row.answer)) + ").\n")
		}
		if row.stream != nil {
			b.WriteString("\nStreams, as `" + row.kind + "`, elements of type [" + nameOf(row.stream) + "](#" + strings.ToLower(nameOf(row.stream)) + ").\n")
		}
		if row.message != nil {
			b.WriteString("\nText messages are [" + nameOf(row.message) + "](#" + strings.ToLower(nameOf(row.message)) + ").\n")
		}
		if codes := ownCodes(row); codes != nil {
			b.WriteString("\nProblems: `" + strings.Join(slices.Sorted(slices.Values(codes)), "`, `") + "`.\n")
		}
	}
	b.WriteString("\n# Documents\n")
	s := &schemas{source: src, named: map[string]object{}}
	types := map[string]reflect.Type{}
	for _, row := range routes() {
		for _, v := range []any{row.answer, row.stream, row.message} {
			if v != nil {
				collect(types, reflect.TypeOf(v))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		b.WriteString("\n## " + name + "\n\n" + s.docs[name] + "\n\n| field | type | is |\n|---|---|---|\n" + fields(src, types[name]))
	}
	b.WriteString("\n# Codes of problems\n\n| code | status | means |\n|---|---|---|\n")
	for _, code := range slices.Sorted(maps.Keys(src.codes)) {
		c := src.codes[code]
		var statuses []string
		for _, n := range c.statuses {
			statuses = append(statuses, strconv.Itoa(n))
		}
		about := api.NewProblem(code, "", "").Title
		if c.about != "" {
			about += ": " + c.about
		}
		b.WriteString("| `" + code + "` | " + strings.Join(statuses, ", ") + " | " + about + " |\n")
	}
	return []byte(b.String())
}

func nameOf(v any) string { return reflect.TypeOf(v).Name() }

func collect(types map[string]reflect.Type, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		collect(types, t.Elem())
	case reflect.Struct:
		if types[t.Name()] != nil || !strings.HasSuffix(t.PkgPath(), "core/api") {
			return
		}
		types[t.Name()] = t
		for _, field := range reflect.VisibleFields(t) {
			if field.Tag.Get("json") != "-" && !field.Anonymous {
				collect(types, field.Type)
			}
		}
	}
}

// fields are the rows of a table of a type's fields.
func fields(src source, t reflect.Type) string {
	var b strings.Builder
	for _, field := range jsonFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := field.Type.String()
		kind = strings.NewReplacer("api.", "", "*", "", "time.Time", "time", "time.Duration", "nanoseconds", "[]uint8", "base64", "http.Header", "headers", "float64", "number", "int64", "int").Replace(kind)
		if field.Type.Kind() == reflect.Pointer || strings.Contains(options, "omit") {
			kind += "?"
		}
		about := src.docs[field.owner.Name()+"."+field.Name]
		if values := src.enums[field.Type.Name()]; values != nil {
			about = strings.TrimSpace(about + " One of " + strings.Join(values, ", ") + ".")
		}
		b.WriteString("| `" + name + "` | " + kind + " | " + strings.ReplaceAll(about, "|", "\\|") + " |\n")
	}
	return b.String()
}
