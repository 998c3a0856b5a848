package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFileSize bounds a configuration file, in bytes.
const maxFileSize = 1 << 20

// parseYAML is the root of the one document in data, nil for an empty one.
// The error begins with "line N: " where the parser knows the line.
func parseYAML(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxError(err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("line %d: a second document begins; want only one", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(err)
	}
	root := follow(doc.Content[0])
	if isNull(root) {
		return nil, nil
	}
	return root, nil
}

// syntaxError is the parser's error without its own prefix.
func syntaxError(err error) error {
	return errors.New("not YAML: " + strings.TrimPrefix(err.Error(), "yaml: "))
}

// parserLine is where the parser puts the line into its errors.
var parserLine = regexp.MustCompile(`^(not YAML: )?line (\d+): `)

// follow is the node that an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// file decodes the configuration file, which is already read.
func (l *loader) file(path string, data []byte) {
	root, err := parseYAML(data)
	if err != nil {
		where, text := quotePath(path), err.Error()
		if m := parserLine.FindStringSubmatch(text); m != nil {
			where += ":" + m[2]
			text = m[1] + strings.TrimPrefix(text, m[0])
		}
		l.errs.add(Problem{Where: where, Text: text})
		return
	}
	if root == nil {
		return
	}
	f := &fileDecoder{loader: l, path: quotePath(path)}
	if root.Kind != yaml.MappingNode {
		f.problem(root, "", describe(root), "want a mapping with the sections "+strings.Join(sections(l.keys), ", "))
		return
	}
	f.pairs(root, "", func(name string, k, v *yaml.Node) {
		if !slices.Contains(sections(l.keys), name) {
			f.unknown(k, "", name)
			return
		}
		if isNull(v) {
			return
		}
		if v.Kind != yaml.MappingNode {
			f.problem(v, name, describe(v), "want a mapping with the keys "+strings.Join(names(l.keys, name), ", "))
			return
		}
		f.pairs(v, name, f.key)
	})
}

// fileDecoder decodes one file.
type fileDecoder struct {
	*loader
	path string
}

func (f *fileDecoder) problem(at *yaml.Node, key, value, text string) {
	f.errs.add(Problem{Where: f.where(at), Key: key, Value: value, Text: text})
}

func (f *fileDecoder) where(at *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, at.Line) }

// pairs calls each for every pair of a mapping, with the full name of the key
// (under is the section, "" at the top), and reports keys that are not text or appear twice.
func (f *fileDecoder) pairs(mapping *yaml.Node, under string, each func(full string, k, v *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		k, v := follow(mapping.Content[i]), follow(mapping.Content[i+1])
		if k.Kind != yaml.ScalarNode {
			f.problem(mapping.Content[i], under, describe(k), "want a string as key")
			continue
		}
		full := k.Value
		if under != "" {
			full = under + "." + k.Value
		}
		if line, twice := first[k.Value]; twice {
			f.problem(mapping.Content[i], showName(full), "", fmt.Sprintf("is set twice, first in line %d", line))
			continue
		}
		first[k.Value] = k.Line
		each(full, mapping.Content[i], v)
	}
}

// key decodes one key of a section.
func (f *fileDecoder) key(full string, kn, v *yaml.Node) {
	at := slices.IndexFunc(f.keys, func(k key) bool { return k.Path == full })
	if at < 0 && slices.ContainsFunc(f.keys, func(k key) bool { return strings.HasPrefix(k.Path, full+".") }) {
		switch {
		case v.Kind == yaml.MappingNode:
			f.pairs(v, full, f.key)
		case !isNull(v):
			f.problem(v, full, describe(v), "want a mapping")
		}
		return
	}
	if at < 0 {
		section, name, _ := strings.Cut(full, ".")
		f.unknown(kn, section, name)
		return
	}
	if isNull(v) {
		return
	}
	k := f.keys[at]
	entries, nodes, bad := f.entries(k, v)
	if bad != nil {
		f.problem(bad, full, k.describe(bad), "want "+k.allowed)
		return
	}
	if k.form == formPath {
		entries[0] = resolve(entries[0], f.base, f.home)
	}
	for _, r := range f.set(k, entries, origin{layer: layerFile, where: f.where(kn)}) {
		f.problem(nodes[r.index], full, k.show(r.entry), r.text(k))
	}
}

// entries are the entries of a value and the nodes they come from; or bad is
// the node that is not of the key's form.
func (f *fileDecoder) entries(k key, v *yaml.Node) (entries []string, nodes []*yaml.Node, bad *yaml.Node) {
	switch k.form {
	case formList:
		if v.Kind != yaml.SequenceNode {
			return nil, nil, v
		}
		for _, item := range v.Content {
			item = follow(item)
			if !isText(item) || isNull(item) {
				return nil, nil, item
			}
			entries, nodes = append(entries, item.Value), append(nodes, item)
		}
	case formMap:
		if v.Kind != yaml.MappingNode {
			return nil, nil, v
		}
		f.pairs(v, k.Path, func(_ string, kn, item *yaml.Node) {
			name := follow(kn).Value
			switch {
			case isNull(item):
				entries, nodes = append(entries, name+"="), append(nodes, item)
			case !isText(item) || strings.Contains(name, "="):
				bad = item
			default:
				entries, nodes = append(entries, name+"="+item.Value), append(nodes, item)
			}
		})
	default:
		if !isText(v) || k.form == formNumber && v.ShortTag() != "!!int" || k.form == formBool && !isBool(v) {
			return nil, nil, v
		}
		entries, nodes = []string{v.Value}, []*yaml.Node{v}
	}
	return entries, nodes, bad
}

// isText reports whether n is a scalar whose text can be used as it is written.
func isText(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		return true
	}
	return false
}

// isBool reports whether n is a boolean of YAML 1.1: true, yes, on and their opposites, not quoted.
func isBool(n *yaml.Node) bool {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.ShortTag() == "!!bool" || n.ShortTag() == "!!str" && n.Style&quoted == 0
}

// describe is what a node is, for a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return quote(n.Value)
}

// describe is what a node of this key is; a secret stays one.
func (k key) describe(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return k.show(n.Value)
	}
	return describe(n)
}

// unknown reports a name that is not a key of the section, or not a section if that is empty.
func (f *fileDecoder) unknown(at *yaml.Node, section, name string) {
	full, known := name, sections(f.keys)
	what, there := "unknown section", "known sections: "
	if section != "" {
		full, known = section+"."+name, names(f.keys, section)
		what, there = "unknown key", "known keys of "+section+": "
	}
	text := what + "; " + there + strings.Join(known, ", ")
	if near := nearest(f.keys, section, name); near != "" {
		text = what + "; did you mean " + near + "?"
	}
	f.problem(at, showName(full), "", text)
}

// showName is a key's name as a message may show it.
func showName(name string) string {
	if q := quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

// sections are the sections of the file in the order of the table.
func sections(keys []key) (all []string) {
	for _, k := range keys {
		if !slices.Contains(all, k.section()) {
			all = append(all, k.section())
		}
	}
	return all
}

// names are the names of a section's keys.
func names(keys []key, section string) (all []string) {
	for _, k := range keys {
		if k.section() == section {
			all = append(all, k.name())
		}
	}
	return all
}
