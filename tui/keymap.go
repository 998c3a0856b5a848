package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
)

// place is where a key is pressed; it is also a set, of an action's places.
type place uint

// The places.
const (
	inList place = 1 << iota
	inOverview
	inRequests
	inPreviews
	inLogs
	inInspector
	everywhere = inList | inOverview | inRequests | inPreviews | inLogs | inInspector
	onSandbox  = everywhere &^ inInspector
)

// String names the places of a set.
func (p place) String() string {
	switch p {
	case everywhere:
		return "everywhere"
	case onSandbox:
		return "outside the inspector"
	}
	var names []string
	for i, name := range []string{"list", "overview", "requests", "previews", "logs", "inspector"} {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// action is one row of the table that feeds dispatch, footer, help, palette
// and the documentation.
type action struct {
	id    string // the name by which its keys are configured
	keys  []string
	short string // the word in the footer; empty: not shown there
	desc  string
	group string // the heading in the help
	in    place
	// changes marks an action that --read-only excludes.
	changes bool
	// when reports whether the action can be run now; nil: always.
	when func() bool
	// offered reports whether the footer shows it; nil: whenever it can be run.
	offered func() bool
	run     func() tea.Cmd
	// about returns a value that identifies its current subject; nil: the
	// selected sandbox, in the groups of sandboxes and previews.
	about func() any
}

// The headings of the help.
const (
	groupSandbox  = "Sandbox"
	groupPreviews = "Previews"
	groupRequests = "Requests and logs"
	groupMove     = "Moving"
	groupProgram  = "Program"
)

var groups = [...]string{groupSandbox, groupPreviews, groupRequests, groupMove, groupProgram}

// keymap is the table with the configured keys.
type keymap struct{ table []*action }

// newKeymap assigns actions the keys in rebind ("i, ctrl+n", or "none" for no
// key). The error lists every unknown action, every key that no terminal sends,
// and every key that two actions would share in one place.
func newKeymap(table []*action, rebind map[string]string) (keymap, error) {
	k := keymap{table: table}
	var wrong []string
	for id, keys := range rebind {
		a := k.byID(id)
		if a == nil {
			wrong = append(wrong, fmt.Sprintf("there is no action %q", id))
			continue
		}
		a.keys = splitKeys(keys)
		for _, key := range a.keys {
			if why := wrongKey(key); why != "" {
				wrong = append(wrong, id+": "+why)
			}
		}
	}
	for i, a := range k.table {
		for _, b := range k.table[:i] {
			_, aSet := rebind[a.id]
			_, bSet := rebind[b.id]
			// Actions may share a key by default: the first usable one is run.
			if a.in&b.in == 0 || !aSet && !bSet {
				continue
			}
			for _, key := range a.keys {
				if slices.Contains(b.keys, key) {
					wrong = append(wrong, fmt.Sprintf("%q is the key of both %q and %q", key, b.id, a.id))
				}
			}
		}
	}
	if wrong != nil {
		slices.Sort(wrong)
		return k, fmt.Errorf("keys: %s", strings.Join(wrong, "; "))
	}
	return k, nil
}

func splitKeys(s string) []string {
	if s == "" || s == "none" {
		return nil
	}
	keys := strings.Split(s, ",")
	for i := range keys {
		keys[i] = strings.TrimSpace(keys[i])
	}
	return keys
}

// meantKeys are keys for which terminals send another key.
var meantKeys = map[string]string{"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+[": "esc", "ctrl+?": "backspace"}

// wrongKey returns why a key can never be pressed; empty if it can.
func wrongKey(key string) string {
	switch meant, lower := meantKeys[strings.ToLower(key)], strings.ToLower(key); {
	case key == "ctrl+c":
		return `"ctrl+c" always quits`
	case isKey(key):
		return ""
	case meant != "":
		return fmt.Sprintf("%q cannot be a key here: terminals send %q for it", key, meant)
	case isKey(lower):
		return fmt.Sprintf("%q is not a key, %q is", key, lower)
	}
	return fmt.Sprintf("%q is not a key: use one character or a name such as enter, space, pgup, f5, ctrl+n, alt+n",
		key)
}

// isKey reports whether Bubble Tea has a key of that name.
func isKey(key string) bool {
	if key == "space" {
		return true
	}
	key = strings.TrimPrefix(key, "alt+")
	if r, n := utf8.DecodeRuneInString(key); n == len(key) {
		return unicode.IsPrint(r) && r != utf8.RuneError
	}
	for t := tea.KeyF20; t <= tea.KeyBackspace; t++ {
		if t != tea.KeyRunes && t.String() == key {
			return true
		}
	}
	return false
}

func (k keymap) find(key string, at place) *action {
	for _, a := range k.table {
		if a.in&at != 0 && slices.Contains(a.keys, key) && (a.when == nil || a.when()) {
			return a
		}
	}
	return nil
}

func (k keymap) byID(id string) *action {
	for _, a := range k.table {
		if a.id == id {
			return a
		}
	}
	return nil
}

// forFooter returns the table with the actions of the focused pane first.
func (k keymap) forFooter(at place) []*action {
	first := map[place]string{inPreviews: groupPreviews, inRequests: groupRequests, inInspector: groupRequests,
		inLogs: groupRequests}[at]
	var out, rest []*action
	for _, a := range k.table {
		if a.group == first {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(out, rest...)
}

// key returns the first key of an action, for texts.
func (k keymap) key(id string) string {
	if a := k.byID(id); a != nil && len(a.keys) > 0 {
		return a.keys[0]
	}
	return ":" + id
}
