package tui

import (
	"context"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

type choicesMsg = answer[[]api.EngineChoice]

// chooser opens and closes engines.
type chooser struct {
	*ui
	choices []api.EngineChoice
	cursor  draw.Cursor
	arrived bool
	failed  string // why the choices are not known
}

func newChooser(u *ui) *chooser {
	c := &chooser{ui: u}
	c.add(nil)
	return c
}

// add shows choices, beside the engines that are open.
func (c *chooser) add(choices []api.EngineChoice) {
	c.choices = slices.Clone(choices)
	for _, e := range c.World.Engines() {
		if !slices.ContainsFunc(choices, func(o api.EngineChoice) bool { return o.Name == e.Name }) {
			c.choices = append(c.choices, api.EngineChoice{Name: e.Name, Endpoint: e.Endpoint})
		}
	}
	slices.SortFunc(c.choices, func(a, b api.EngineChoice) int { return strings.Compare(a.Name, b.Name) })
	c.cursor.Resize(len(c.choices), c.cursor.Height)
}

// HandleMsg implements an overlay.
func (c *chooser) HandleMsg(msg tea.Msg) tea.Cmd {
	answer, mine := msg.(choicesMsg)
	if !mine {
		return nil
	}
	c.arrived, c.failed = true, ""
	if answer.err != nil {
		c.log.Error("an action failed", "action", "list the engines", "error", answer.err)
		what, try := format.Explain(answer.err)
		c.failed = text.Clean(strings.TrimSpace(what + "   " + try))
	}
	c.add(answer.value)
	return nil
}

// HandleKey implements an overlay.
func (c *chooser) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch name := key.String(); name {
	case "esc", "q":
		return nil, true
	case " ", "enter":
		if c.cursor.At >= len(c.choices) {
			return nil, false
		}
		if name == "enter" {
			return c.only(c.choices[c.cursor.At].Name), true
		}
		return c.toggle(c.choices[c.cursor.At].Name), false
	case "j", "k":
		c.cursor.Move(map[string]draw.Motion{"j": draw.Down, "k": draw.Up}[name])
	default:
		if to, ok := draw.Motions[name]; ok {
			c.cursor.Move(to)
		}
	}
	return nil, false
}

// only opens one engine and closes all others.
func (c *chooser) only(name string) tea.Cmd {
	return c.change("switching to", "switch to", "engine", name, c.do.backend.SwitchEngine)
}

// toggle opens an engine, or closes it if it is open.
func (c *chooser) toggle(name string) tea.Cmd {
	if _, open := c.World.EngineNamed(name); open {
		return c.change("closing", "close", "closed: engine", name, c.do.backend.CloseEngine)
	}
	return c.change("opening", "open", "opened: engine", name, c.do.backend.OpenEngine)
}

func (c *chooser) change(doing, do, did, name string, f func(context.Context, string) error) tea.Cmd {
	return working(doing+" engine "+name, c.do.act(2*pane.Quick, do+" engine "+name, did+" "+name,
		func(ctx context.Context) error { return f(ctx, name) }))
}

// View implements an overlay.
func (c *chooser) View(width, height int) []string {
	l := c.Look
	width = min(width, 84)
	below := c.below(width - 4)
	rows := max(1, min(height-2-len(below), len(c.choices)))
	c.cursor.Resize(len(c.choices), rows)
	names, states := 0, 0
	for _, e := range c.choices {
		names, states = max(names, text.Width(text.Clean(e.Name))), max(states, text.Width(c.state(e.Name)))
	}
	names = min(names, max(8, (width-12)/2))
	var lines []string
	from, to := c.cursor.Visible()
	for i := from; i < to; i++ {
		e, box := c.choices[i], "[ ] "
		if _, open := c.World.EngineNamed(e.Name); open {
			box = "[x] "
		}
		row := box + l.Fit(text.Clean(e.Name), names) + "  " + l.Fit(c.state(e.Name), states) + "  "
		row += l.Ink.Dim.Paint(l.Cut(text.Clean(e.Endpoint), max(0, width-5-text.Width(row))))
		lines = append(lines, l.Row(row, width-2, i == c.cursor.At, true))
	}
	foot := "space open or close   enter only this one   esc close"
	return l.Box(l.Ink.Title.Paint("Engines"), l.Ink.Dim.Paint(foot), append(lines, below...), width,
		rows+len(below)+2, true)
}

// below explains what is not to be seen in the rows.
func (c *chooser) below(width int) []string {
	l := c.Look
	switch {
	case c.failed != "":
		return l.Wrap(c.failed, width, "  ", l.Ink.Bad)
	case !c.arrived:
		return []string{l.Ink.Dim.Paint("  asking" + l.Glyph.Ellipsis)}
	case c.cursor.At >= len(c.choices):
		return nil
	}
	e, _ := c.World.EngineNamed(c.choices[c.cursor.At].Name)
	if e.State != "lost" || e.Error == nil {
		return nil
	}
	why := text.Clean(strings.TrimSpace(e.Error.Error() + "   " + e.Error.Hint))
	return append([]string{""}, l.Wrap(why, width, "  ", l.Ink.Bad)...)
}

// state returns the state of an engine in a word or two; empty if it is not open.
func (c *chooser) state(name string) string {
	l := c.Look
	e, open := c.World.EngineNamed(name)
	switch {
	case !open:
		return ""
	case e.State == "connecting":
		return l.Ink.Busy.Paint("connecting" + l.Glyph.Ellipsis)
	case e.State == "lost":
		return l.Ink.Bad.Paint(l.Glyph.Bad+" lost") + format.Retry(e.RetryAt, c.Now())
	}
	n := 0
	for _, s := range c.World.Sandboxes() {
		if s.Engine == name {
			n++
		}
	}
	return format.Count(n, "container")
}
