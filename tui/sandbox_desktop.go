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

func desktopLink(ctx context.Context, backend Backend, ref api.Ref, links []api.Link) vncMsg {
	if i := slices.IndexFunc(links,
		func(l api.Link) bool { return l.Port == world.VNCPort && l.ExpiresAt == nil }); i >= 0 {
		return vncMsg{ref: ref, link: links[i]}
	}
	link, err := backend.CreateLink(ctx,
		api.LinkRequest{Port: world.VNCPort, Sandbox: ref.String(), Label: world.VNCLabel})
	return vncMsg{ref: ref, link: link, err: err}
}

// vnc opens the desktop of the selected sandbox; if it has no daemon, vnc injects
// one first and then continues.
func (a *sandboxActions) vnc() tea.Cmd {
	s, ok := a.selected()
	if !ok {
		return nil
	}
	if s.Daemon.State == api.DaemonHealthy {
		return working("looking for the desktop of "+s.String(), a.desktop(s.Ref))
	}
	a.thenDesktop[s.Ref] = true
	return a.injectInto(s.Ref)
}

// desktop finds or makes the link to port 6080 if something listens there.
func (a *sandboxActions) desktop(ref api.Ref) tea.Cmd {
	backend, links := a.do.backend, a.world.LinksOf(ref, a.options.Now())
	return a.do.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
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
		return desktopLink(ctx, backend, ref, links)
	})
}

func (a *sandboxActions) afterVNC(msg vncMsg) tea.Cmd {
	switch {
	case msg.err != nil:
		return a.notes.failWith("open the desktop of "+msg.ref.String(), msg.err)
	case msg.silent:
		return a.offerDesktop(msg.ref)
	case msg.other.Port.Port != 0:
		return a.offerPage(msg.ref, msg.other)
	case msg.page:
		return tea.Batch(a.do.links(),
			a.open(a.world.LinkURL(msg.link), fmt.Sprintf("port %d of %s", world.VNCPort, msg.ref)))
	}
	return tea.Batch(a.do.links(), a.open(a.world.DesktopURL(msg.link), "the desktop of "+msg.ref.String()))
}

// offerDesktop explains that no desktop runs and offers to start one, if the
// daemon can.
func (a *sandboxActions) offerDesktop(ref api.Ref) tea.Cmd {
	if s, _ := a.world.Sandbox(ref); s.Daemon.Kind == "built-in" {
		return a.notes.fail(fmt.Sprintf("no desktop in %s: nothing listens on port %d, and the built-in daemon has none", ref, world.VNCPort),
			fmt.Sprintf("start a VNC server with a page (noVNC) on %d in it, use an image that has one, or a daytona as the daemon", world.VNCPort))
	}
	backend, links := a.do.backend, a.world.LinksOf(ref, a.options.Now())
	a.overlays.push(&dialog.Confirm{
		Look: a.look, Title: "No desktop in " + ref.String(),
		Lines: []string{"Nothing listens on port 6080, where a VNC page is expected.",
			"The daemon can start one if the image has it (Xvfb, a VNC server, noVNC)."},
		Yes: "start the desktop", No: "no",
		Run: working("starting the desktop in "+ref.String(), a.do.Do(8*pane.Quick, func(ctx context.Context) tea.Msg {
			if err := backend.StartDesktop(ctx, ref); err != nil {
				return vncMsg{ref: ref, err: err}
			}
			return desktopLink(ctx, backend, ref, links)
		})),
	})
	return nil
}

// offerPage reports what answers instead of a desktop, and offers to open it if it
// is a page.
func (a *sandboxActions) offerPage(ref api.Ref, card api.PortCard) tea.Cmd {
	what := fmt.Sprintf("no desktop in %s: port %d has no noVNC page", ref, world.VNCPort)
	switch card.Service {
	case "http":
	case "unknown":
		return a.notes.fail(fmt.Sprintf("no desktop in %s: what listens on port %d did not answer in time", ref,
			world.VNCPort),
			a.key("vnc")+" tries again")
	default:
		return a.notes.fail(what+", but "+format.Card(card), fmt.Sprintf("let noVNC listen on %d in it", world.VNCPort))
	}
	backend, links := a.do.backend, a.world.LinksOf(ref, a.options.Now())
	a.overlays.push(&dialog.Confirm{
		Look: a.look, Title: "No desktop in " + ref.String(),
		Lines: []string{fmt.Sprintf("Port %d has no noVNC page. What answers there: %s.", world.VNCPort,
			format.Card(card))},
		Yes: "open it as a page", No: "no",
		Run: a.do.Do(2*pane.Quick, func(ctx context.Context) tea.Msg {
			plain := func(l api.Link) bool { return l.Port == world.VNCPort && l.Label != world.VNCLabel }
			if i := slices.IndexFunc(links, plain); i >= 0 {
				return vncMsg{ref: ref, link: links[i], page: true}
			}
			link, err := backend.CreateLink(ctx, api.LinkRequest{Port: world.VNCPort, Sandbox: ref.String()})
			return vncMsg{ref: ref, link: link, page: true, err: err}
		}),
	})
	return nil
}
