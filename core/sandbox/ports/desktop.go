package ports

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/logging"
)

const (
	// askDesktop bounds the daemon's own start of its desktop, desktopTimeout
	// the wait for it to listen after that.
	askDesktop     = 30 * time.Second
	desktopTimeout = 30 * time.Second
	desktopEvery   = 250 * time.Millisecond
)

// desktopPages are the pages that noVNC has, the preferred one first.
var desktopPages = [...]string{"/vnc.html", "/vnc_lite.html"}

// guacamole is where Guacamole is by default, in a Tomcat with nothing at its root.
const guacamole = "/guacamole/"

// mentionsVNC reports whether a page may be noVNC's or link to it.
func mentionsVNC(p page) bool {
	lower := strings.ToLower(p.body)
	return strings.Contains(lower, "novnc") || strings.Contains(lower, `"vnc.html"`) ||
		strings.Contains(strings.ToLower(p.header.Get("Server")), "websockify")
}

var remoteDesktop = regexp.MustCompile(`(?i)\b(rdp|xrdp|remote desktop|myrtille)\b`)

// desktopOf returns whose page shows a desktop, by what they have in common in
// all their versions; empty if it is none that is known. noVNC is not among them.
func desktopOf(p page, title string) string {
	lower := strings.ToLower(title)
	switch {
	case strings.HasPrefix(p.header.Get("Server"), "KasmVNC"), lower == "kasmvnc":
		return "KasmVNC"
	case p.status != http.StatusOK:
	case strings.Contains(lower, "selkies"):
		return "Selkies"
	case strings.Contains(lower, "guacamole") && strings.Contains(p.body, "guac-"):
		return "Guacamole"
	case remoteDesktop.MatchString(title):
		return "remote desktop"
	}
	return ""
}

// findDesktop adds to a card whether its port shows a desktop, and on which page.
// first is what the port's root answers.
func findDesktop(ctx context.Context, client daemon.Client, card *api.PortCard, first page) {
	if card.Desktop = desktopOf(first, card.Name); card.Desktop != "" {
		return
	}
	if card.Port.Port == vncPort || mentionsVNC(first) {
		found := findNoVNC(ctx, client, card)
		if !found && isNoVNC(first) {
			found, card.Path = true, "/"
		}
		if found {
			card.Service, card.Desktop = "vnc", "noVNC"
			return
		}
	}
	if first.status == http.StatusNotFound && strings.Contains(first.body, "Tomcat") {
		p, err := fetchPage(ctx, client, card.Port.Port, guacamole)
		if err != nil {
			return
		}
		found := api.PortCard{Port: card.Port}
		describe(&found, p)
		if found.Desktop = desktopOf(p, found.Name); found.Desktop != "" {
			found.Path = guacamole
			*card = found
		}
	}
}

// isNoVNC reports whether a page is noVNC's own, as images have it at the root.
func isNoVNC(p page) bool {
	return p.status == http.StatusOK && strings.Contains(p.body, `"noVNC_container"`)
}

// findNoVNC reports whether a port serves a page of noVNC, and notes which. Any page
// at that path is not enough: servers of single-page applications answer every path.
func findNoVNC(ctx context.Context, client daemon.Client, card *api.PortCard) (found bool) {
	for _, path := range desktopPages {
		p, err := fetchPage(ctx, client, card.Port.Port, path)
		if err != nil || p.status != http.StatusOK || !strings.Contains(strings.ToLower(p.body), "novnc") {
			continue
		}
		if path != desktopPages[0] {
			card.Path = path
		}
		if card.Name == "" || strings.HasPrefix(card.Name, "Directory listing") ||
			strings.Contains(strings.ToLower(card.Name), "websockify") {
			card.Name = "noVNC"
		}
		return true
	}
	return false
}

// StartDesktop has the daemon of ref start its VNC desktop and waits until port
// 6080 serves noVNC's page; a desktop that runs already is left alone. The
// problem is no_desktop if the daemon cannot start one, the desktop did not
// come up, or something else listens on that port.
func (p *Ports) StartDesktop(ctx context.Context, ref api.Ref) error {
	t, err := p.o.Target(ref)
	if err != nil {
		return err
	}
	client := t.Daemon
	if listens(ctx, client, vncPort) {
		return isDesktop(ctx, ref, client)
	}
	defer p.forget(ref, vncPort)
	asking, cancel := context.WithTimeout(ctx, askDesktop)
	defer cancel()
	err = client.StartDesktop(asking)
	refusal, refused := errors.AsType[*daemon.StatusError](err)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !refused:
		return noDesktop(ref,
			fmt.Sprintf("the daemon in %s did not answer when it was asked for its desktop: %v", ref, err),
			"see the daemon's log")
	case refused && refusal.Status == http.StatusNotFound:
		return noDesktop(ref, "the daemon in "+ref.String()+" cannot start a desktop (404)",
			"start one in the container yourself, with noVNC on port 6080, or use a newer daytona")
	case refused:
		return noDesktop(ref, fmt.Sprintf("the daemon in %s has no desktop to start: %s", ref, reason(refusal)),
			"use an image with a desktop, or start one in the container with noVNC on port 6080")
	}
	waiting, done := context.WithTimeout(ctx, desktopTimeout)
	defer done()
	tick := time.NewTicker(desktopEvery)
	defer tick.Stop()
	for {
		if isDesktop(waiting, ref, client) == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return noDesktop(ref,
				fmt.Sprintf("the daemon in %s started its desktop, but noVNC's page is not on port %d after %v",
					ref, vncPort, desktopTimeout),
				"see the daemon's log")
		}
	}
}

// isDesktop returns nil if port 6080 serves noVNC's page, else the problem.
func isDesktop(ctx context.Context, ref api.Ref, client daemon.Client) error {
	ctx, cancel := context.WithTimeout(ctx, cardTimeout)
	defer cancel()
	if findNoVNC(ctx, client, &api.PortCard{Port: api.Port{Port: vncPort}}) {
		return nil
	}
	return noDesktop(ref, fmt.Sprintf("what listens on port %d of %s has no noVNC page (/vnc.html)", vncPort, ref),
		"open that port as a page, or let noVNC listen there")
}

// listens reports whether something answers on a port.
func listens(ctx context.Context, client daemon.Client, port int) bool {
	ctx, cancel := context.WithTimeout(ctx, cardTimeout)
	defer cancel()
	answer, err := client.Get(ctx, port, "/", 1)
	return err == nil && (answer.Status != http.StatusBadGateway || len(answer.Body) > 0)
}

// reason is why a daemon refused, in one line.
func reason(refusal *daemon.StatusError) string {
	if refusal.Reason == "" {
		return refusal.Error()
	}
	return logging.Line(refusal.Reason, 300)
}

func noDesktop(ref api.Ref, detail, hint string) *api.Problem {
	return api.NewProblem(api.CodeNoDesktop, detail, hint).In(ref.String(), vncPort)
}
