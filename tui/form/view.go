package form

import (
	"fmt"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// View implements an overlay.
func (f *Form) View(width, height int) []string {
	l := f.Look
	width = min(width, 84)
	inner := width - 3
	below := f.below(inner)
	state := f.state(inner)
	f.cursor.Resize(len(f.cards)+1, max(1, min(len(f.cards)+1, height-2-len(below)-len(state))))
	var lines []string
	from, to := f.cursor.Visible()
	for i := from; i < to; i++ {
		row := f.otherRow()
		if i < len(f.cards) {
			row = f.row(f.cards[i], width-4)
		}
		lines = append(lines, l.Row(row, width-2, i == f.cursor.At, f.focus == fieldPort && i < len(f.cards)))
	}
	lines = append(append(state, lines...), below...)
	foot := ""
	if f.cursor.Count > f.cursor.Height {
		foot = fmt.Sprintf("%d of %d   ", f.cursor.At+1, f.cursor.Count)
	}
	arrows := func(a, b string) string { return format.Keys([]string{a}) + format.Keys([]string{b}) }
	foot += arrows("up", "down") + " port   " + arrows("left", "right") + " lives   tab next field"
	return l.Box(l.Ink.Title.Paint("Preview a port of "+f.Named(f.ref)), l.Ink.Dim.Paint(foot), lines, width,
		min(height, len(lines)+2), true)
}

// row draws a card: the port, what answers, and a remark or a warning.
func (f *Form) row(card api.PortCard, width int) string {
	l := f.Look
	remark, ink := f.remarks(card), l.Ink.Dim
	if card.Warning != "" {
		remark, ink = l.Glyph.Warn+" "+text.Clean(card.Warning), l.Ink.Busy
	}
	name := max(10, min(28, width/2-8))
	return l.Fit(fmt.Sprint(card.Port.Port), 5) + "  " + l.Fit(format.Card(card), name) + "  " +
		ink.Paint(l.Fit(remark, max(0, width-name-9)))
}

func (f *Form) remarks(card api.PortCard) string {
	var words []string
	switch {
	case card.Service == "https":
		words = append(words, "http over TLS")
	case card.IsDesktop():
		words = append(words, format.Desktop(card), f.Key("vnc")+" opens it")
	case card.Service == "rfb":
		words = append(words, "a VNC server")
	case card.Service == "unknown":
		words = append(words, "silent")
	case card.Service == "other":
	default:
		if service := text.Clean(card.Service); service != format.Card(card) {
			words = append(words, service)
		}
	}
	if card.Label != "" && card.Name != "" {
		words = append(words, text.Clean(card.Name))
	}
	for _, r := range card.Remarks {
		words = append(words, text.Clean(r))
	}
	n := 0
	links := f.World.LinksOf(f.ref, f.Now())
	for i := range links {
		if links[i].Port == card.Port.Port {
			n++
		}
	}
	if n > 0 {
		words = append(words, format.Count(n, "link"))
	}
	return strings.Join(words, " "+f.Glyph.Dot+" ")
}

func (f *Form) otherRow() string {
	value := f.other.Value()
	field := f.Fit(value+strings.Repeat("_", max(0, 5-len(value))), 5)
	if !f.onOther() || f.focus != fieldPort {
		return field + "  " + f.Ink.Dim.Paint("other port")
	}
	cursor := f.InputLine(f.other, len(value)+1)
	return cursor + f.Fit(strings.Repeat("_", max(0, 4-len(value))), 6-len(value)) + "other port"
}

// state explains why there is no list, and what to do about it.
func (f *Form) state(width int) []string {
	l := f.Look
	s, ok := f.World.Sandbox(f.ref)
	in := f.World.Injection(f.ref)
	var what, try string
	switch {
	case !ok:
		what = "It is no longer listed."
	case f.err != nil:
		what, try = format.Explain(f.err)
		what = "Its ports are unknown: " + what
		try = strings.TrimSpace(try + "   " + f.Key("refresh") + " asks again")
	case s.Container != api.ContainerRunning:
		what, try = "The container is "+s.Container+".",
			format.StartHint(s, f.Key)+"; a link works as soon as a daemon is in it"
	case s.Daemon.State == api.DaemonInjecting, f.World.Injecting(f.ref):
		what = "The daemon is being injected" + l.Glyph.Ellipsis
	case in != nil && in.Problem != nil:
		what, try = format.Explain(in.Problem)
		try = strings.TrimSpace(try + "   " + f.Key("inject") + " tries again")
	case s.Daemon.State == api.DaemonUnknown:
		what = "Asking for the daemon" + l.Glyph.Ellipsis
	case s.Daemon.State != api.DaemonHealthy:
		what, try = "No daemon is running there, so its ports are unknown.",
			f.Key("inject")+" injects one; you can type a port without it"
	case f.cards == nil:
		what = "Looking for ports" + l.Glyph.Ellipsis
	case len(f.cards) == 0:
		what, try = "Nothing listens yet.", "a link to a port works as soon as something does"
	default:
		return nil
	}
	out := text.Indent(text.Wrap(text.Clean(what), width-1), " ")
	if try != "" {
		out = append(out, l.Wrap(text.Clean(try), width-1, " ", l.Ink.Key)...)
	}
	return append(out, "")
}

// below draws the fields under the list, what is wrong with them, and the keys.
func (f *Form) below(width int) []string {
	l := f.Look
	lines := []string{""}
	if card, ok := f.card(); ok && card.Warning != "" && text.Width(card.Warning) > width/2-8 {
		lines = l.Wrap(text.Clean(card.Warning), width-1, " ", l.Ink.Busy)
	}
	name := func(s string, field formField) string {
		if f.focus == field {
			return l.Ink.Key.Paint(l.Glyph.Cursor + " " + l.Fit(s, 6))
		}
		return "  " + l.Ink.Dim.Paint(l.Fit(s, 6))
	}
	lines = append(lines, name("Label", fieldLabel)+" "+l.Field(f.label, 30, f.focus == fieldLabel),
		name("Lives", fieldLives)+" "+f.livesLine(), "")
	switch {
	case f.problem != "":
		for _, part := range text.Wrap(text.Clean(f.problem), width-3) {
			lines = append(lines, " "+l.Ink.Bad.Paint(l.Glyph.Bad+" "+part))
		}
	case f.creating:
		lines = append(lines, " "+l.Ink.Busy.Paint(l.Glyph.Busy+" creating"+l.Glyph.Ellipsis))
	default:
		open := "o"
		if f.focus == fieldLabel {
			open = "ctrl+o"
		}
		lines = append(lines, " "+l.Ink.Key.Paint("enter")+" create and copy    "+l.Ink.Key.Paint(open)+
			" create and open    "+l.Ink.Key.Paint("esc"))
	}
	return lines
}

// livesLine draws all lifetimes; the chosen one is marked visibly without colours.
func (f *Form) livesLine() string {
	l := f.Look
	var parts []string
	for i, d := range ttlChoices {
		parts = append(parts, f.choice(format.TTL(d), i == f.lives.at))
	}
	own := f.choice("other", f.lives.at == len(ttlChoices))
	if f.lives.at == len(ttlChoices) {
		own = l.Ink.Accent.Paint(l.Glyph.Cursor)
		if f.lives.typed.Value() == "" {
			own += l.Ink.Dim.Paint("e.g. 45m")
		} else {
			own += l.Field(f.lives.typed, 8, f.focus == fieldLives)
		}
	}
	return strings.Join(append(parts, own), " ")
}

func (f *Form) choice(s string, taken bool) string {
	l := f.Look
	switch {
	case !taken:
		return " " + l.Ink.Dim.Paint(s)
	case f.focus == fieldLives:
		return l.Ink.Cursor.Paint(l.Glyph.Cursor + s)
	}
	return l.Ink.Accent.Paint(l.Glyph.Cursor + s)
}
