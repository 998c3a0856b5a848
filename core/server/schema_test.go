package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type object = map[string]any

// source is what the Go source of core/api says beyond what reflection sees.
type source struct {
	docs  map[string]string   // of "Type" and "Type.Field"
	enums map[string][]string // values of the constants of a string type
	codes map[string]problemCode
}

// problemCode is a problem's code as problem.go comments it.
type problemCode struct {
	statuses []int
	about    string
}

var status = regexp.MustCompile(`\b[45]\d\d\b`)

func readSource(t *testing.T) source {
	t.Helper()
	src := source{docs: map[string]string{}, enums: map[string][]string{}, codes: map[string]problemCode{}}
	files, err := filepath.Glob("../api/*.go")
	require.NoError(t, err)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			if general, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range general.Specs {
					src.read(general, spec)
				}
			}
		}
	}
	return src
}

func (src source) read(decl *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		src.docs[spec.Name.Name] = sentence(decl.Doc, spec.Doc)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, field := range fields.Fields.List {
			for _, name := range field.Names {
				src.docs[spec.Name.Name+"."+name.Name] = sentence(field.Doc, field.Comment)
			}
		}
	case *ast.ValueSpec:
		if len(spec.Values) != 1 {
			return
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return
		}
		value, _ := strconv.Unquote(literal.Value)
		if kind, ok := spec.Type.(*ast.Ident); ok {
			src.enums[kind.Name] = append(src.enums[kind.Name], value)
		}
		if strings.HasPrefix(spec.Names[0].Name, "Code") {
			src.codes[value] = readCode(sentence(spec.Comment))
		}
	}
}

func readCode(comment string) problemCode {
	var c problemCode
	for _, text := range status.FindAllString(comment, -1) {
		n, _ := strconv.Atoi(text)
		c.statuses = append(c.statuses, n)
	}
	if _, after, ok := strings.Cut(comment, ": "); ok {
		c.about = after
	}
	if len(c.statuses) > 1 {
		c.about = comment
	}
	return c
}

// sentence is the first comment there is, on one line.
func sentence(groups ...*ast.CommentGroup) string {
	for _, group := range groups {
		if text := group.Text(); text != "" {
			return strings.Join(strings.Fields(text), " ")
		}
	}
	return ""
}

// schemas are the JSON schemas of Go types, by name.
type schemas struct {
	source
	named     map[string]object
	responses object
}

// of is the schema of a type; a struct becomes a component and a reference.
func (s *schemas) of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "description": "nanoseconds"}
	case reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		inner := s.of(t.Elem())
		if _, ok := inner["$ref"]; ok {
			return object{"anyOf": []any{inner, object{"type": "null"}}}
		}
		inner["type"] = []any{inner["type"], "null"}
		return inner
	case reflect.Struct:
		s.component(t)
		return object{"$ref": "#/components/schemas/" + t.Name()}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.String:
		if values := s.enums[t.Name()]; t.Name() != "string" && values != nil {
			return object{"type": "string", "enum": values}
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	default:
		return object{"type": "integer"}
	}
}

func (s *schemas) component(t reflect.Type) {
	if s.named[t.Name()] != nil {
		return
	}
	properties, required := object{}, []string{}
	schema := object{"type": "object", "properties": properties}
	s.named[t.Name()] = schema
	if doc := s.docs[t.Name()]; doc != "" {
		schema["description"] = doc
	}
	for _, field := range jsonFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		property := s.of(field.Type)
		if doc := s.docs[field.owner.Name()+"."+field.Name]; doc != "" {
			if _, ok := property["$ref"]; ok {
				property = object{"allOf": []any{property}}
			}
			property["description"] = doc
		}
		properties[name] = property
		if !slices.Contains(strings.Split(options, ","), "omitempty") && !slices.Contains(strings.Split(options, ","), "omitzero") {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	if len(required) > 0 {
		schema["required"] = required
	}
}

// jsonField is a field that crosses JSON and the type that it stands in.
type jsonField struct {
	reflect.StructField
	owner reflect.Type
	name  string
}

// jsonFields are those of a struct in their order, with the ones of embedded
// structs unless an outer field has the same name in JSON.
// reflect.VisibleFields goes by Go's names, by which an embedded Port hides its
// own field Port.
func jsonFields(t reflect.Type) (fields []jsonField) {
	outer := map[string]bool{}
	for field := range t.Fields() {
		if !field.Anonymous {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			outer[name] = true
		}
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct:
			for _, inner := range jsonFields(field.Type) {
				if !outer[inner.name] {
					fields = append(fields, inner)
				}
			}
		case name != "" && name != "-" && field.IsExported():
			fields = append(fields, jsonField{field, t, name})
		}
	}
	return fields
}
