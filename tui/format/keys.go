package format

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// keyNames maps the names of keys to how they are displayed.
var keyNames = strings.NewReplacer(
	"up", "↑", "down", "↓", "left", "←", "right", "→",
	"pgup", "PgUp", "pgdown", "PgDn", "pg↑", "PgUp", "pg↓", "PgDn",
)

// Keys returns keys as they are displayed.
func Keys(keys []string) string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = keyNames.Replace(key)
	}
	return strings.Join(out, " ")
}

// KeyName returns the name of a key in the action table and the configuration.
func KeyName(key tea.KeyMsg) string {
	if name := key.String(); name != " " {
		return name
	}
	return "space"
}
