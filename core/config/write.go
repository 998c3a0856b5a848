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

// WriteExample writes config.example.yaml: every key with its default and its
// documentation.
func WriteExample(w io.Writer) error {
	const head = `# yaml-language-server: $schema=docs/config.schema.json
#
# Configuration of daemon-proxy: every key with its default. The line above
# tells editors where the schema is, which completes and checks the keys.
#
# Flags override environment variables, which override this file, which
# overrides the defaults. An empty variable counts as not set. The program reads
# the first of these files:
#   --config FILE
#   DAEMON_PROXY_CONFIG
#   ./config.yaml, if it belongs to you and has no other program's sections
#   $XDG_CONFIG_HOME/daemon-proxy/config.yaml (~/.config/daemon-proxy/config.yaml)
# Relative paths are relative to the directory of this file; in flags and
# variables, to the current directory. "~/" is your home directory.
# In flags and variables, separate the entries of a list with commas.

`
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	return Defaults().write(w, func(k key) string {
		var b strings.Builder
		facts := []string{"Allowed: " + k.allowed + ".", "Variable: " + k.Env}
		if k.Flag != "" {
			facts[1] += "   Flag: --" + k.Flag
		}
		for _, paragraph := range append([]string{k.Doc}, facts...) {
			for _, line := range wrap(paragraph, 74) {
				b.WriteString("  # " + line + "\n")
			}
		}
		return b.String()
	})
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

// wrap breaks text at spaces into lines of at most width bytes, longer words aside.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
