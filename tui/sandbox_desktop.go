package tui

import (
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// vncMsg is the result of the search for a desktop: a link to it, several to choose
// from, one that cannot be shown, another service where one is expected, that there
// is none, or an error.
type vncMsg struct {
	ref     api.Ref
	link    api.Link
	page    bool           // the link is opened as a page, not as a desktop
	several []api.PortCard // the desktops to choose from
	other   api.PortCard   // no desktop that a browser can show: secure, raw VNC, or what is on 6080
	silent  bool           // nothing like a desktop listens
	err     error
}

// desktops opens the desktops of sandboxes with a daemon.
type desktops struct{ *ui }

// linkTo uses the first of the links to that port that fits, or makes one.
func linkTo(
	ctx context.Context, backend api.Service, ref api.Ref, port int, label string,
	links []api.Link, fits func(api.Link) bool,
) vncMsg {
	i := slices.IndexFunc(links, func(l api.Link) bool { return l.Port == port && fits(l) })
	if i >= 0 {
		return vncMsg{ref: ref, link: links[i]}
	}
	link, err := backend.CreateLink(ctx, api.LinkRequest{Port: port, Sandbox: ref.Long(), Label: label})
	return vncMsg{ref: ref, link: link, err: err}
}

func permanent(l api.Link) bool { return l.ExpiresAt == nil }

// find finds the desktops of a sandbox, and finds or makes the link if there is one.
func (a desktops) find(ref api.Ref) tea.Cmd {
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	return a.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
		cards, err := backend.Ports(ctx, ref)
		if err != nil {
			return vncMsg{ref: ref, err: err}
		}
		shown := world.Desktops(cards)
		switch {
		case len(shown) == 1:
			return linkTo(ctx, backend, ref, shown[0].Port.Port, world.VNCLabel, links, permanent)
		case len(shown) > 1:
			return vncMsg{ref: ref, several: shown}
		}
		for _, instead := range []func(api.PortCard) bool{
			api.PortCard.IsDesktop, // over TLS
			func(c api.PortCard) bool { return c.Port.Port == world.VNCPort },
			func(c api.PortCard) bool { return c.Service == "rfb" },
		} {
			if i := slices.IndexFunc(cards, instead); i >= 0 {
				return vncMsg{ref: ref, other: cards[i]}
			}
		}
		return vncMsg{ref: ref, silent: true}
	})
}

func (a desktops) afterVNC(msg vncMsg) tea.Cmd {
	switch {
	case msg.err != nil:
		return a.notes.failWith("open the desktop of "+msg.ref.String(), msg.err)
	case msg.silent:
		return a.offerDesktop(msg.ref)
	case msg.several != nil:
		return a.choose(msg.ref, msg.several)
	case msg.other.Port.Port != 0:
		return a.offerPage(msg.ref, msg.other)
	case msg.page:
		return tea.Batch(a.do.links(),
			a.open(a.World.LinkURL(msg.link), fmt.Sprintf("port %d of %s", msg.link.Port, msg.ref)))
	}
	return tea.Batch(a.do.links(), a.open(a.World.DesktopURL(msg.link), "the desktop of "+msg.ref.String()))
}

// choose lists several desktops to choose from.
func (a desktops) choose(ref api.Ref, cards []api.PortCard) tea.Cmd {
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	choices := make([]dialog.Choice, len(cards))
	for i, card := range cards {
		port := card.Port.Port
		choices[i] = dialog.Choice{
			Words: fmt.Sprint(port), About: format.Card(card), Right: format.Desktop(card),
			Then: a.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
				return linkTo(ctx, backend, ref, port, world.VNCLabel, links, permanent)
			}),
		}
	}
	a.overlays.push(dialog.NewPicker(a.Look, "Desktops of "+ref.String(), choices))
	return nil
}

// offerDesktop explains that no desktop runs and offers to start one, if the
// daemon can.
func (a desktops) offerDesktop(ref api.Ref) tea.Cmd {
	if s, _ := a.World.Sandbox(ref); s.Daemon.Kind == "built-in" {
		return a.notes.fail(
			fmt.Sprintf("no desktop in %s: none of its ports shows one, and the built-in daemon has none", ref),
			"start a VNC server with a page (noVNC) in it, on any port; use an image that has one, or a daytona as the daemon")
	}
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	start := a.Do(8*pane.Quick, func(ctx context.Context) tea.Msg {
		if err := backend.StartDesktop(ctx, ref); err != nil {
			return vncMsg{ref: ref, err: err}
		}
		return linkTo(ctx, backend, ref, world.VNCPort, world.VNCLabel, links, permanent)
	})
	start = working("starting the desktop in "+ref.String(), start)
	return a.ask("No desktop in "+ref.String(), "start the desktop", start,
		"None of its ports shows one.",
		"The daemon can start one if the image has it (Xvfb, a VNC server, noVNC).")
}

// offerPage reports what there is instead of a desktop that a browser can show, and
// offers to open it if it is a page.
func (a desktops) offerPage(ref api.Ref, card api.PortCard) tea.Cmd {
	port := card.Port.Port
	switch {
	case card.IsDesktop():
		return a.notes.fail(
			fmt.Sprintf("the desktop on port %d of %s cannot be shown: it speaks TLS itself", port, ref),
			text.Clean(card.Desktop)+" has to speak plain HTTP in the container (for KasmVNC: network.ssl.require_ssl: false)")
	case card.Service == "rfb":
		return a.notes.fail(
			fmt.Sprintf("a VNC server listens on port %d of %s, and browsers cannot speak to it", port, ref),
			fmt.Sprintf("start noVNC in front of it in the container: websockify --web /usr/share/novnc 6080 localhost:%d", port))
	case card.Service == "unknown":
		return a.notes.fail(fmt.Sprintf("no desktop in %s: what listens on port %d did not answer in time", ref, port),
			a.Key("vnc")+" tries again")
	case card.Service != "http":
		return a.notes.fail(fmt.Sprintf("no desktop in %s: port %d has no noVNC page, but %s", ref, port, format.Card(card)),
			"let noVNC listen in it, on any port")
	}
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	open := a.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
		msg := linkTo(ctx, backend, ref, port, "", links, func(l api.Link) bool { return l.Label != world.VNCLabel })
		msg.page = true
		return msg
	})
	return a.ask("No desktop in "+ref.String(), "open it as a page", open,
		fmt.Sprintf("Port %d has no noVNC page. What answers there: %s.", port, format.Card(card)))
}
