package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

// firstSteps explains why there are no containers and what can be done. The
// overview shows it, and the list if that is alone on the screen.
type firstSteps struct{ pane.Env }

// why explains why there is no container, and what to do about it, in lines of at
// most width cells; empty if there is one, or if that is unknown.
func (p firstSteps) why(width int) []string {
	switch e := p.World.Engine(); {
	case p.World.Containers() > 0:
		return nil
	case e.State == "connected":
		return p.noContainers(width)
	case e.State == "lost", p.World.Status().Mode == "host":
		return p.noEngine(width)
	}
	return nil
}

// noEngine explains why no engine answers, and that it is retried automatically.
func (p firstSteps) noEngine(width int) []string {
	again := "Containers appear here by themselves once it does.  " + p.Ink.Key.Paint(p.Key("refresh")) + "  try now"
	return slices.Concat(p.engineCause(width), text.Wrap(again, width), []string{""})
}

// engineCause returns why no engine answers, and the next step.
func (p firstSteps) engineCause(width int) []string {
	e := p.World.Engine().Error
	if e == nil {
		return append([]string{"No Docker engine answers."},
			text.Wrap("Docker is at https://docs.docker.com/get-docker/; Podman's socket works too (DOCKER_HOST).",
				width)...)
	}
	lines := text.Wrap(sentence(text.Clean(e.Error())), width)
	if e.Hint != "" {
		lines = append(lines, text.Wrap("try: "+text.Clean(e.Hint), width)...)
	}
	return lines
}

// sentence makes a sentence of the reason why no engine answers.
func sentence(why string) string {
	if rest, ok := strings.CutPrefix(why, "the "); ok {
		return "The " + rest + "."
	}
	return "No Docker engine answers: " + why + "."
}

func (p firstSteps) noContainers(width int) []string {
	l := p.Look
	lines := append(text.Wrap(fmt.Sprintf("No containers on engine %q.", text.Clean(p.World.Engine().Name)), width), "")
	const indent = "      "
	say := func(first, words string, paint func(string) string) {
		for _, part := range text.Wrap(words, max(10, width-len(indent))) {
			lines = append(lines, first+paint(part))
			first = indent
		}
	}
	plain := func(s string) string { return s }
	say("  "+l.Ink.Key.Paint(l.Fit(p.Key("demo"), 3))+" ", "start the demo sandbox", plain)
	say(indent, "made from this program, no download, ~1 s", l.Ink.Dim.Paint)
	say(indent, "daemon-proxy demo --remove takes it away again", l.Ink.Dim.Paint)
	say(indent, "or run one yourself; it shows up here at once:", plain)
	say(indent, "docker run -d --name my-sandbox "+l.Glyph.Ellipsis, plain)
	return append(lines, "")
}

func (p firstSteps) machine(width int) []string {
	l, ports := p.Look, p.World.Ports(api.Host)
	var lines []string
	for _, card := range ports.Services() {
		line := fmt.Sprintf("  %s  %s  %s", l.Right(fmt.Sprint(card.Port.Port), 5), l.Fit(format.Card(card), 28),
			l.Fit(text.Clean(card.Address), 16))
		if len(lines) == 0 {
			line += l.Ink.Key.Paint(p.Key("new-preview")) + "  preview"
		}
		lines = append(lines, line)
	}
	switch {
	case ports.Err != nil:
		what, _ := format.Explain(ports.Err)
		lines = append(lines, l.Ink.Dim.Paint("  the ports are unknown: "+text.Clean(what)))
	case len(lines) == 0 && ports.Cards == nil:
		lines = append(lines, l.Ink.Dim.Paint("  looking"+l.Glyph.Ellipsis))
	case len(lines) == 0:
		lines = append(lines, l.Ink.Dim.Paint("  nothing listens"))
	}
	if p.World.Containers() == 0 && p.World.Engine().State != "connected" {
		lines = append(text.Wrap("Until then, anything listening on "+p.Machine+" can be previewed:", width), lines...)
	}
	return lines
}
