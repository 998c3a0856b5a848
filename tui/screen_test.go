package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/theme"
)

var update = flag.Bool("update", false, "write the golden files and the table of keys anew")

// soon is how long a test waits for what should happen at once.
const soon = 10 * time.Second

// screen is a model on a fake core with a window, without a terminal: keys go
// in, commands run, and the screen can be read.
type screen struct {
	t      *testing.T
	m      *model
	f      *fake
	msgs   chan tea.Msg
	opened kept // by the browser
	copied kept // to the clipboard
	quit   bool
}

// kept is what a command left outside of the model.
type kept struct {
	mu  sync.Mutex
	all []string
}

func (k *kept) keep(s string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, s)
	return nil
}

func (k *kept) get() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

func newScreen(t *testing.T, f *fake, width, height int, with func(*Options)) *screen {
	t.Helper()
	s := &screen{t: t, f: f, msgs: make(chan tea.Msg, 1000)}
	o := Options{
		Theme: theme.Dark, Now: func() time.Time { return clock },
		Browse: s.opened.keep, Copy: s.copied.keep, Undo: f.UndoInjections,
	}
	if with != nil {
		with(&o)
	}
	m, err := newModel(t.Context(), coreOf(t, f), o)
	require.NoError(t, err)
	s.m = m
	s.run(m.Init())
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// loaded is newScreen after all snapshots have come.
func loaded(t *testing.T, f *fake, width, height int, with func(*Options)) *screen {
	t.Helper()
	s := newScreen(t, f, width, height, with)
	s.until("all is loaded", func() bool {
		w := s.m.World
		unknown := func(l api.Link) bool { _, known := w.Link(l.ID); return !known }
		recent := func(x api.Exchange) bool { return len(w.Recent(api.Ref{Engine: "default", Name: x.Sandbox})) > 0 }
		return w.Listed() && w.Status().URL != "" && w.Engine().State != "connecting" &&
			!slices.ContainsFunc(f.links, unknown) && w.Rates() == f.rates &&
			(slices.ContainsFunc(f.exchanges, recent) || len(f.exchanges) == 0) &&
			(f.ports[s.m.list.Selected] == nil || w.Ports(s.m.list.Selected).Cards != nil)
	})
	return s
}

// run runs a command as Bubble Tea does, beside everything else.
func (s *screen) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		msg := cmd()
		if v := reflect.ValueOf(msg); msg != nil && v.Kind() == reflect.Slice &&
			v.Type().Elem() == reflect.TypeFor[tea.Cmd]() {
			for i := range v.Len() { // a batch, or a sequence taken as one
				s.run(v.Index(i).Interface().(tea.Cmd))
			}
			return
		}
		select {
		case s.msgs <- msg:
		case <-s.t.Context().Done():
		}
	}()
}

func (s *screen) send(msg tea.Msg) {
	if _, ok := msg.(tea.QuitMsg); ok {
		s.quit = true
		return
	}
	if msg == nil {
		return
	}
	_, cmd := s.m.Update(msg)
	check(s.t, s.m)
	s.run(cmd)
}

// check holds the promise of every screen: lines that fit, and nothing that a terminal would obey.
func check(t testing.TB, m *model) {
	t.Helper()
	if m.width == 0 || m.height == 0 {
		return
	}
	lines := strings.Split(m.View(), "\n")
	require.Len(t, lines, m.height)
	for _, line := range lines {
		require.Equal(t, m.width, ansi.StringWidth(line), "%q", line)
		for _, r := range withoutColours(line) {
			require.False(t, r < 0x20 || r >= 0x7f && r < 0xa0, "control character %q in %q", r, line)
		}
	}
}

// withoutColours takes out what Colours lets through, and nothing else.
func withoutColours(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return b.String() + s
		}
		j := strings.IndexFunc(s[i+2:], func(r rune) bool { return !strings.ContainsRune("0123456789;:", r) })
		if j < 0 || s[i+2+j] != 'm' {
			return b.String() + s
		}
		b.WriteString(s[:i])
		s = s[i+2+j+1:]
	}
}

// until takes messages until ok.
func (s *screen) until(what string, ok func() bool) {
	s.t.Helper()
	over := time.After(soon)
	for !ok() {
		select {
		case msg := <-s.msgs:
			s.send(msg)
		case <-over:
			s.t.Fatalf("it did not happen: %s\n%s", what, s.text())
		}
	}
}

// shows waits until the screen holds each of the words.
func (s *screen) shows(words ...string) {
	s.t.Helper()
	for _, w := range words {
		s.until("the screen shows "+w, func() bool { return strings.Contains(s.text(), w) })
	}
}

// hides waits until the screen holds none of the words.
func (s *screen) hides(words ...string) {
	s.t.Helper()
	for _, w := range words {
		s.until("the screen does not show "+w, func() bool { return !strings.Contains(s.text(), w) })
	}
}

// nothingOver expects that no question, form or page lies over the panes: then
// the footer has the keys of the panes.
func (s *screen) nothingOver() {
	s.t.Helper()
	requireNothingOver(s.t, s.m)
}

func requireNothingOver(t testing.TB, m *model, args ...any) {
	t.Helper()
	lines := strings.Split(ansi.Strip(m.View()), "\n")
	require.Contains(t, lines[len(lines)-1], "? help", args...)
}

// settle takes what waits already.
func (s *screen) settle() {
	for {
		select {
		case msg := <-s.msgs:
			s.send(msg)
		default:
			return
		}
	}
}

// pass lets time go by in a bubble of synctest and takes what comes meanwhile.
func (s *screen) pass(d time.Duration) {
	over := time.After(d)
	for {
		select {
		case msg := <-s.msgs:
			s.send(msg)
		case <-over:
			return
		}
	}
}

func (s *screen) text() string { return ansi.Strip(s.m.View()) }

var namedKeys = map[string]tea.KeyType{
	"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
	"left": tea.KeyLeft, "right": tea.KeyRight,
	"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd, "ctrl+c": tea.KeyCtrlC,
	"shift+tab": tea.KeyShiftTab, "backspace": tea.KeyBackspace, "space": tea.KeySpace,
}

// press presses keys, named as in the action table.
func (s *screen) press(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
		if named, ok := namedKeys[key]; ok {
			msg = tea.KeyMsg{Type: named}
		}
		s.send(msg)
		s.settle()
	}
}

// word presses each letter.
func (s *screen) word(text string) {
	s.t.Helper()
	s.press(strings.Split(text, "")...)
}

// drawn shows a moment in windows, "120x40", "80x24-ascii" and so on, and
// compares each with its golden file. With mono or raw, colours are compared too.
func drawn(t *testing.T, moment, windows string, desk func() *fake, show func(s *screen)) {
	t.Helper()
	for window := range strings.FieldsSeq(windows) {
		name := strings.TrimPrefix(moment+"-"+window, "-")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var width, height int
			_, err := fmt.Sscanf(window, "%dx%d", &width, &height)
			require.NoError(t, err)
			mono := strings.Contains(window, "mono")
			s := loaded(t, desk(), width, height, func(o *Options) {
				if o.ASCII = strings.Contains(window, "ascii"); mono {
					o.Theme = theme.Mono
				}
			})
			show(s)
			got := s.text()
			if mono || strings.Contains(window, "raw") {
				got = s.m.View()
			}
			golden(t, name, got)
		})
	}
}

// golden compares the screen with a file; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, []byte(got+"\n"), 0o600))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "go test ./tui -update makes it")
	require.Equal(t, string(want), got+"\n", "go test ./tui -update if this is as it should be")
}
