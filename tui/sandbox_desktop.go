package tui

import (
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

// vncMsg is the result of the search for a desktop: a link to it, another service
// on its port, that nothing listens, or an error.
type vncMsg struct {
	ref    api.Ref
	link   api.Link
	page   bool         // the link is opened as a page, not as a desktop
	other  api.PortCard // the service on 6080 that is not a desktop
	silent bool         // nothing listens on 6080
	err    error
}

// desktops opens the VNC desktops of sandboxes with a daemon.
type desktops struct{ *ui }

// linkTo uses the first of the links that fits, or makes one.
func linkTo(
	ctx context.Context, backend api.Service, ref api.Ref, label string, links []api.Link, fits func(api.Link) bool,
) vncMsg {
	i := slices.IndexFunc(links, func(l api.Link) bool { return l.Port == world.VNCPort && fits(l) })
	if i >= 0 {
		return vncMsg{ref: ref, link: links[i]}
	}
	link, err := backend.CreateLink(ctx, api.LinkRequest{Port: world.VNCPort, Sandbox: ref.String(), Label: label})
	return vncMsg{ref: ref, link: link, err: err}
}

func permanent(l api.Link) bool { return l.ExpiresAt == nil }

// find finds or makes the link to port 6080 if something listens there.
func (a desktops) find(ref api.Ref) tea.Cmd {
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	return a.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
		cards, err := backend.Ports(ctx, ref)
		if err != nil {
			return vncMsg{ref: ref, err: err}
		}
		i := slices.IndexFunc(cards, func(c api.PortCard) bool { return c.Port.Port == world.VNCPort })
		switch {
		case i < 0:
			return vncMsg{ref: ref, silent: true}
		case cards[i].Service != "vnc":
			return vncMsg{ref: ref, other: cards[i]}
		}
		return linkTo(ctx, backend, ref, world.VNCLabel, links, permanent)
	})
}

func (a desktops) afterVNC(msg vncMsg) tea.Cmd {
	switch {
	case msg.err != nil:
		return a.notes.failWith("open the desktop of "+msg.ref.String(), msg.err)
	case msg.silent:
		return a.offerDesktop(msg.ref)
	case msg.other.Port.Port != 0:
		return a.offerPage(msg.ref, msg.other)
	case msg.page:
		return tea.Batch(a.do.links(),
			a.open(a.World.LinkURL(msg.link), fmt.Sprintf("port %d of %s", world.VNCPort, msg.ref)))
	}
	return tea.Batch(a.do.links(), a.open(a.World.DesktopURL(msg.link), "the desktop of "+msg.ref.String()))
}

// offerDesktop explains that no desktop runs and offers to start one, if the
// daemon can.
func (a desktops) offerDesktop(ref api.Ref) tea.Cmd {
	if s, _ := a.World.Sandbox(ref); s.Daemon.Kind == "built-in" {
		return a.notes.fail(
			fmt.Sprintf("no desktop in %s: nothing listens on port %d, and the built-in daemon has none", ref,
				world.VNCPort),
			fmt.Sprintf("start a VNC server with a page (noVNC) on %d in it, use an image that has one, or a daytona "+
				"as the daemon", world.VNCPort))
	}
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	start := a.Do(8*pane.Quick, func(ctx context.Context) tea.Msg {
		if err := backend.StartDesktop(ctx, ref); err != nil {
			return vncMsg{ref: ref, err: err}
		}
		return linkTo(ctx, backend, ref, world.VNCLabel, links, permanent)
	})
	start = working("starting the desktop in "+ref.String(), start)
	return a.ask("No desktop in "+ref.String(), "start the desktop", start,
		"Nothing listens on port 6080, where a VNC page is expected.",
		"The daemon can start one if the image has it (Xvfb, a VNC server, noVNC).")
}

// offerPage reports what answers instead of a desktop, and offers to open it if it
// is a page.
func (a desktops) offerPage(ref api.Ref, card api.PortCard) tea.Cmd {
	const port = world.VNCPort
	switch card.Service {
	case "http":
	case "unknown":
		return a.notes.fail(fmt.Sprintf("no desktop in %s: what listens on port %d did not answer in time", ref, port),
			a.Key("vnc")+" tries again")
	default:
		return a.notes.fail(fmt.Sprintf("no desktop in %s: port %d has no noVNC page, but %s", ref, port, format.Card(card)),
			fmt.Sprintf("let noVNC listen on %d in it", port))
	}
	backend, links := a.do.backend, a.World.LinksOf(ref, a.Now())
	open := a.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
		msg := linkTo(ctx, backend, ref, "", links, func(l api.Link) bool { return l.Label != world.VNCLabel })
		msg.page = true
		return msg
	})
	return a.ask("No desktop in "+ref.String(), "open it as a page", open,
		fmt.Sprintf("Port %d has no noVNC page. What answers there: %s.", port, format.Card(card)))
}
