package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteYAML writes every value as a configuration file. A set API key is written
// as "***", which Load does not accept as a key.
func (c Config) WriteYAML(w io.Writer) error {
	return c.masked().write(w, func(key) string { return "" })
}

// write writes every value, each after the comment that about gives for it.
func (c Config) write(w io.Writer, about func(key) string) error {
	var b strings.Builder
	section, group := "", ""
	for _, k := range table() {
		comment := about(k)
		if k.section() != section {
			if section != "" {
				b.WriteString("\n")
			}
			section = k.section()
			b.WriteString(section + ":\n")
		} else if comment != "" {
			b.WriteString("\n")
		}
		indent, name := "  ", k.name()
		outer, inner, nested := strings.Cut(name, ".")
		if nested && group != k.section()+"."+outer {
			b.WriteString(indent + outer + ":\n")
		}
		group = ""
		if nested {
			group, name = k.section()+"."+outer, inner
			comment = strings.ReplaceAll(comment, indent+"#", indent+indent+"#")
			indent += indent
		}
		b.WriteString(comment)
		fmt.Fprintf(&b, "%s%s: %s\n", indent, name, k.yaml(k.get(&c)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// yaml is the entries of a value as the file has them. Go's quoted strings
// are YAML's double-quoted ones: text here is valid UTF-8, so that no \x
// stands for half a character.
func (k key) yaml(entries []string) string {
	switch k.form {
	case formList:
		quoted := make([]string, len(entries))
		for i, entry := range entries {
			quoted[i] = strconv.Quote(entry)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case formMap:
		quoted := make([]string, len(entries))
		for i, entry := range entries {
			name, v, _ := strings.Cut(entry, "=")
			quoted[i] = strconv.Quote(name) + ": " + strconv.Quote(v)
		}
		return "{" + strings.Join(quoted, ", ") + "}"
	case formText, formPath, formSize:
		return strconv.Quote(entries[0])
	default:
		return entries[0]
	}
}
