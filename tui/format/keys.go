package format

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// keyNames maps the names of keys to how they are written for people.
var keyNames = strings.NewReplacer(
	"up", "↑", "down", "↓", "left", "←", "right", "→",
	"pgup", "PgUp", "pgdown", "PgDn", "pg↑", "PgUp", "pg↓", "PgDn",
)

// Keys are keys as they are written for people.
func Keys(keys []string) string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = keyNames.Replace(key)
	}
	return strings.Join(out, " ")
}

// KeyName is a key as it is written in the action table and the configuration.
func KeyName(key tea.KeyMsg) string {
	if name := key.String(); name != " " {
		return name
	}
	return "space"
}
