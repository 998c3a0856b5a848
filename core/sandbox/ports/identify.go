package ports

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/reach"
)

const (
	// maxPage bounds what is read of a page to find its title.
	maxPage = 64 << 10
	// bannerWait is how long a service gets to speak first.
	bannerWait = 250 * time.Millisecond
	// vncPort is where noVNC is by convention.
	vncPort = 6080
)

// page is what a service answered.
type page struct {
	status int
	header http.Header
	body   string
	path   string // requested last, after redirects
}

// identify finds out what answers on a port: through the daemon, as a preview
// would, and directly, if that is possible, where the answer is not HTTP.
func identify(ctx context.Context, t Target, p api.Port) api.PortCard {
	card := api.PortCard{Port: p, Service: "unknown"}
	if p.Daemon {
		card.Service, card.Name = "daemon", "the daemon's own"
		return card
	}
	ctx, cancel := context.WithTimeout(ctx, cardTimeout)
	defer cancel()
	answer, err := browse(ctx, t.Daemon, p.Port)
	switch {
	case err != nil && ctx.Err() == nil:
		return card // the daemon is gone
	case err != nil || answer.status == http.StatusBadGateway && answer.body == "":
		if err == nil {
			card.Service = "other"
		}
		identifyDirectly(ctx, t.Reach, &card)
	case answer.wantsTLS():
		isTLS(&card, "")
		identifyDirectly(ctx, t.Reach, &card)
	default:
		describe(&card, answer)
		findDesktop(ctx, t.Daemon, &card, answer)
	}
	if p.Address == "::1" {
		card.Warning = "bound to ::1 only"
		if card.Service == "other" || card.Service == "unknown" {
			card.Warning += ", may not answer"
		}
	}
	return card
}

// browse requests the first page and follows redirects within the service.
func browse(ctx context.Context, client daemon.Client, port int) (page, error) {
	path := "/"
	for hops := 0; ; hops++ {
		p, err := fetchPage(ctx, client, port, path)
		if err != nil || hops == 3 {
			return p, err
		}
		next := p.redirect(port)
		if next == "" || next == path {
			return p, nil
		}
		path = next
	}
}

// fetchPage is one request through the daemon, with the beginning of its answer.
func fetchPage(ctx context.Context, client daemon.Client, port int, path string) (page, error) {
	answer, err := client.Get(ctx, port, path, maxPage)
	return page{status: answer.Status, header: answer.Header, body: string(answer.Body), path: path}, err
}

// redirect returns the path within the service to which the page redirects;
// empty if it does not redirect, or leads elsewhere.
func (p page) redirect(port int) string {
	if p.status < 300 || p.status > 399 {
		return ""
	}
	to, err := url.Parse(p.header.Get("Location"))
	if err != nil || to.Host != "" && to.Port() != strconv.Itoa(port) {
		return ""
	}
	base := &url.URL{Path: p.path}
	to = base.ResolveReference(&url.URL{Path: to.Path, RawQuery: to.RawQuery})
	if rest, ok := strings.CutPrefix(to.Path, "/proxy/"+strconv.Itoa(port)+"/"); ok {
		to.Path = "/" + rest
	}
	return to.RequestURI()
}

// wantsTLS reports whether the page is a TLS server's answer to plain HTTP.
func (p page) wantsTLS() bool {
	text := strings.ToLower(p.body)
	return p.status == http.StatusBadRequest && (strings.Contains(text, "http request to an https server") ||
		strings.Contains(text, "plain http request was sent to https port") ||
		strings.Contains(text, "speaking plain http to an ssl-enabled"))
}

var (
	titleTag     = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	passwordForm = regexp.MustCompile(`(?i)<input[^>]*type=["']?password`)
	loginPath    = regexp.MustCompile(`(?i)(^|[/._-])(log-?in|sign-?in|auth)($|[/?._-])`)
	publicBase   = regexp.MustCompile(`configured with a public base URL of (/\S+)`) // Vite's
)

// describe fills in a card from the page that answered.
func describe(card *api.PortCard, p page) {
	card.Service = "http"
	if title := titleTag.FindStringSubmatch(p.body); title != nil {
		card.Name = oneLine(html.UnescapeString(title[1]))
	}
	if card.Name == "" || p.status >= 400 && p.header.Get("Server") != "" {
		card.Name = oneLine(p.header.Get("Server"))
	}
	lower := strings.ToLower(p.body)
	if p.status == http.StatusUpgradeRequired || strings.Contains(lower, "new websocket(") ||
		strings.Contains(lower, "/@vite/client") ||
		strings.Contains(lower, "websockify") || strings.Contains(lower, "socket.io") {
		card.Remarks = append(card.Remarks, "websocket")
	}
	if p.status == http.StatusUnauthorized || p.status == http.StatusForbidden ||
		passwordForm.MatchString(p.body) || loginPath.MatchString(p.path) {
		card.Remarks = append(card.Remarks, "login")
	}
	base := ""
	if path, _, _ := strings.Cut(p.path, "?"); strings.Count(path, "/") == 2 && strings.HasSuffix(path, "/") &&
		!loginPath.MatchString(path) {
		base = path
	} else if match := publicBase.FindStringSubmatch(p.body); match != nil {
		base = oneLine(match[1])
	}
	if base != "" {
		card.Path = base
		card.Remarks = append(card.Remarks, "base path "+base)
	}
}

// oneLine makes a text of a service fit for a list.
func oneLine(text string) string { return logging.Line(text, 80) }

// identifyDirectly identifies what the daemon cannot forward: TLS, raw VNC, or
// another protocol in which the server speaks first.
func identifyDirectly(ctx context.Context, r reach.Reach, card *api.PortCard) {
	c, err := r.Dial(ctx, card.Port.Port)
	if err != nil {
		return // it listens on an address that only the sandbox has
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetReadDeadline(earlier(time.Now().Add(bannerWait), deadline))
	banner := make([]byte, 64)
	n, err := c.Read(banner)
	if n > 0 {
		readBanner(card, string(banner[:n]))
		return
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil {
		return
	}
	_ = c.SetDeadline(deadline)
	secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it only identifies the service
	if err := secure.HandshakeContext(ctx); err != nil {
		if _, ok := errors.AsType[tls.AlertError](err); ok {
			isTLS(card, "") // it refused, in TLS
		}
		return
	}
	name := ""
	if certificates := secure.ConnectionState().PeerCertificates; len(certificates) > 0 {
		name = certificates[0].Subject.CommonName
	}
	isTLS(card, name)
	if p, err := fetchSecure(ctx, secure); err == nil {
		found := api.PortCard{Port: card.Port}
		describe(&found, p)
		card.Name, card.Desktop = cmp.Or(found.Name, card.Name), desktopOf(p, found.Name)
	}
}

// fetchSecure requests the first page of a service that speaks TLS itself.
func fetchSecure(ctx context.Context, c net.Conn) (page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/", nil)
	if err != nil {
		return page{}, err
	}
	request.Close = true
	if err := request.Write(c); err != nil {
		return page{}, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), request)
	if err != nil {
		return page{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	return page{status: answer.StatusCode, header: answer.Header, body: string(body), path: "/"}, err
}

// isTLS records that a port speaks TLS itself, with the name of its certificate.
func isTLS(card *api.PortCard, name string) {
	card.Service = "https"
	card.Warning = "speaks TLS itself: the daemon forwards plain HTTP only"
	if name = oneLine(name); name != "" {
		card.Name = name
	}
}

// readBanner recognises some protocols by their servers' first bytes.
func readBanner(card *api.PortCard, banner string) {
	card.Service = "other"
	switch {
	case strings.HasPrefix(banner, "RFB 00"):
		card.Service, card.Name = "rfb", "VNC"
		card.Warning = "raw VNC: browsers need noVNC in front of it"
	case strings.HasPrefix(banner, "SSH-"):
		card.Name = "SSH"
	case strings.HasPrefix(banner, "220 ") && strings.Contains(banner, "SMTP"):
		card.Name = "SMTP"
	}
}
