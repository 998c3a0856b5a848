package config

import (
	"encoding/json"
	"io"
	"strings"
	"unicode"
)

// schema is the part of JSON Schema (draft 7, which every YAML editor knows)
// that describes the configuration file. A null stands for the default
// wherever a value may stand, so that a section whose keys are all commented
// out is valid.
type schema struct {
	Schema      string            `json:"$schema,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Type        any               `json:"type,omitempty"` // a name or a list of names
	AnyOf       []schema          `json:"anyOf,omitempty"`
	Enum        []string          `json:"enum,omitempty"`
	Pattern     string            `json:"pattern,omitempty"`
	Minimum     *float64          `json:"minimum,omitempty"`
	Maximum     *float64          `json:"maximum,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	Names       *schema           `json:"propertyNames,omitempty"`
	Others      any               `json:"additionalProperties,omitempty"` // false, or the schema of every value
	Properties  map[string]schema `json:"properties,omitempty"`
	Default     any               `json:"default,omitempty"`
}

// WriteSchema writes a JSON schema of the configuration file, with which
// editors complete and check it. It refuses unknown keys, values of the wrong
// type and numbers out of range; what takes code to check, such as a host name
// or two keys that exclude each other, is left to Load.
func WriteSchema(w io.Writer) error {
	root := mapping()
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Title = "Configuration of daemon-proxy"
	for _, k := range table() {
		at, path := root, strings.Split(k.Path, ".")
		for _, name := range path[:len(path)-1] {
			inner, found := at.Properties[name]
			if !found {
				inner = mapping()
				at.Properties[name] = inner
			}
			at = inner
		}
		at.Properties[path[len(path)-1]] = k.describeValue()
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(root)
}

// mapping is a section or a group of keys.
func mapping() schema {
	return schema{Type: []string{"object", "null"}, Others: false, Properties: map[string]schema{}}
}

// describeValue is the schema of the key's value.
func (k key) describeValue() schema {
	s := k.schema()
	s.Description = k.Doc + "\n\nAllowed: " + k.allowed + ".\nVariable: " + k.Env
	if k.Flag != "" {
		s.Description += ", flag: --" + k.Flag
	}
	s.Default = k.defaultJSON()
	return s
}

// defaultJSON is the default in the type that the file has it in.
func (k key) defaultJSON() any {
	switch k.form {
	case formNumber, formBool, formTime:
		var v any
		if json.Unmarshal([]byte(k.Default), &v) == nil {
			return v
		}
	case formList:
		return append([]string{}, k.defaults()...)
	case formMap:
		return map[string]string{}
	}
	return k.Default
}

// schema is what the form of the value allows.
func (v value) schema() schema {
	null := schema{Type: "null"}
	switch v.form {
	case formNumber:
		return schema{Type: []string{"integer", "null"}, Minimum: &v.least, Maximum: &v.most}
	case formBool:
		return schema{AnyOf: []schema{{Type: "boolean"}, matching(anyCase("true", "yes", "on", "false", "no", "off")),
			null}}
	case formTime: // seconds, or text whose limits only code can check
		return schema{AnyOf: []schema{{Type: "number", Minimum: &v.least, Maximum: &v.most}, matching(timePattern),
			null}}
	case formSize:
		return schema{AnyOf: []schema{matching("[0-9]+ *" + anyCase("KiB", "MiB", "GiB")), null}}
	case formList:
		return schema{Type: []string{"array", "null"}, Items: &schema{Type: "string"}}
	case formMap:
		return schema{
			Type:   []string{"object", "null"},
			Names:  &schema{Pattern: `^[^=\s]+$`},
			Others: schema{Type: []string{"string", "number", "boolean", "null"}},
		}
	case formText, formPath:
	}
	if v.names != nil {
		return schema{AnyOf: []schema{{Enum: v.names}, matching(anyCase(append(v.aliases, v.names...)...)), null}}
	}
	return schema{Type: []string{"string", "number", "null"}}
}

// timePattern is a number of seconds, or days followed by what
// time.ParseDuration reads.
const timePattern = `([0-9]+(\.[0-9]+)?|[0-9]+d|([0-9]+d)?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)`

// matching is text of which the whole matches.
func matching(pattern string) schema { return schema{Type: "string", Pattern: "^" + pattern + "$"} }

// anyCase is a pattern for words in upper and lower case. The dialect that
// JSON Schema has regular expressions in knows no flag for that.
func anyCase(words ...string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, r := range word {
			if upper, lower := unicode.ToUpper(r), unicode.ToLower(r); upper != lower {
				b.WriteString("[" + string(upper) + string(lower) + "]")
			} else {
				b.WriteRune(r)
			}
		}
	}
	return "(" + b.String() + ")"
}
