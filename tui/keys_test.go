package tui

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/format"
)

func TestThePageOfKeysIsCurrent(t *testing.T) {
	t.Parallel()
	const file = "../docs/keys.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(keysPage()), 0o600))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, keysPage(), string(have), "run make docs")
}

// keysPage is docs/keys.md: every action by group, with its keys and the
// places where they work.
func keysPage() string {
	var b strings.Builder
	b.WriteString(`# Keys

This page is generated from the program's table of actions; ` + "`?` in the UI shows the same list, `:`" + ` runs an action by name.
To change a key, map the action's name to new keys under ` + "`tui.keys`" + ` in the configuration: ` + "`inject: \"I, ctrl+n\"`" + `;
` + "`none`" + ` removes the key. ` + "`ctrl+c`" + ` always quits. With ` + "`--read-only`" + ` the actions marked * are unavailable.

Some keys have several actions. The first one that applies where you are and to what is selected runs.
`)
	for _, group := range groups {
		b.WriteString("\n## " + group + "\n\n| key | action | does | where |\n|---|---|---|---|\n")
		for _, a := range actions(emptyModel()) {
			if a.group != group {
				continue
			}
			keys := make([]string, len(a.keys))
			for i, key := range a.keys {
				keys[i] = "`" + format.Keys([]string{key}) + "`"
			}
			id := a.id
			if a.changes {
				id += " *"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.Join(keys, " "), id, a.desc, a.in)
		}
	}
	return b.String()
}

func TestKeysAreReboundByName(t *testing.T) {
	t.Parallel()
	k, err := newKeymap(actions(emptyModel()), map[string]string{"inject": "I, ctrl+n", "eject": "none"})
	require.NoError(t, err)
	require.Equal(t, []string{"I", "ctrl+n"}, k.byID("inject").keys)
	require.Empty(t, k.byID("eject").keys)

	_, err = newKeymap(actions(emptyModel()), map[string]string{"injekt": "I", "help": "q"})
	require.ErrorContains(t, err, `no action "injekt"`)
	require.ErrorContains(t, err, `"q" is the key of both "help" and "quit"`)
}

func TestAKeyThatNoTerminalSendsIsRefused(t *testing.T) {
	t.Parallel()
	for key, why := range map[string]string{
		"ctrl+c": `inject: "ctrl+c" always quits`,
		"ctrl+i": `terminals send "tab" for it`, "ctrl+m": `terminals send "enter" for it`,
		"Ctrl+M": `terminals send "enter" for it`,
		"Enter":  `"enter" is`, "PgUp": `"pgup" is`,
		"ctl+i": `"ctl+i" is not a key`, "hello": `"hello" is not a key`, "runes": `"runes" is not a key`,
		"alt+space": "is not a key", "alt+": "is not a key", "alt+alt": "is not a key", "i,,j": `"" is not a key`,
		"\x01": "is not a key", "\xff": "is not a key",
	} {
		require.ErrorContains(t, CheckKeys(map[string]string{"inject": key}), why, key)
	}
	for _, key := range []string{"I", "é", "日", "+", "space", "alt+I", "alt+enter", "ctrl+n", "ctrl+@", "backspace",
		"f20", "ctrl+shift+up", "ctrl+\\", "none"} {
		require.NoError(t, CheckKeys(map[string]string{"eject": key}), key)
	}
	for _, a := range actions(emptyModel()) {
		for _, key := range a.keys {
			require.Empty(t, wrongKey(key), a.id)
		}
	}
}

func TestEveryActionHasANameAndAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	table := actions(emptyModel())
	for i, a := range table {
		require.False(t, seen[a.id], a.id)
		seen[a.id] = true
		require.NotEmpty(t, a.desc)
		require.NotZero(t, a.in, a.id)
		require.NotNil(t, a.run, a.id)
		for _, b := range table[:i] {
			for _, key := range a.keys {
				if a.in&b.in != 0 && slices.Contains(b.keys, key) {
					require.NotNil(t, b.when, "%s hides %s: both have %q in one place", b.id, a.id, key)
				}
			}
		}
	}
}

func TestAReboundKeyIsNamedAsItIsNow(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, func(o *Options) { o.Keys = map[string]string{"container": "z"} })
	s.press("z")
	s.shows("Stop the container my-sandbox?", "z starts it again")
}

func TestTextsNameKeysAsTheyAreNow(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.logs = strings.Repeat("a line\n", 100)
	s := loaded(t, f, 120, 40, func(o *Options) {
		o.Keys = map[string]string{"follow": "F", "log-follow": "W", "filter-requests": "f2", "find-next": "ctrl+n",
			"find-previous": "ctrl+p", "close-inspector": "Z"}
	})
	s.press("2")
	s.shows("f2 filter", "/app/1.js")
	s.press("down")
	s.shows("PAUSED +0 · F follow")
	s.press("enter", "/", "a", "enter")
	s.shows("ctrl+n next  ctrl+p before  Z")
	s.press("Z", "Z", "4")
	s.shows("a line")
	s.press("up")
	s.shows("PAUSED +0 · W follow")
}
