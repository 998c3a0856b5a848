package daemon

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"daemon-proxy/core/reach"
)

const (
	// callTimeout bounds connecting, and each call that a daemon answers itself.
	callTimeout = time.Second
	// maxAnswer bounds what is read on one connection.
	maxAnswer = 1 << 20
)

// Errors of a Client and a Conn.
var (
	ErrRefused     = errors.New("nothing listens there")
	ErrNotDaemon   = errors.New("what listens there is not a daemon")
	ErrSilent      = errors.New("what listens there does not answer")
	ErrSecret      = errors.New("the daemon does not know our secret")
	ErrClosed      = fmt.Errorf("%w: it closed the connection", ErrNotDaemon)
	ErrNoChallenge = errors.New("the daemon cannot prove that it knows our secret: it is of an older version")
)

// StatusError is an answer with an unexpected status.
type StatusError struct {
	Status int
	// Reason is the daemon's own explanation; foreign text, or empty.
	Reason string
}

// Error names the status and the daemon's reason.
func (e *StatusError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("it answers %d", e.Status)
	}
	return fmt.Sprintf("it answers %d: %s", e.Status, e.Reason)
}

// Client calls the daemon of one sandbox, each time on a new connection.
type Client struct {
	// Dial connects to the daemon.
	Dial func(ctx context.Context) (net.Conn, error)
	// Host is the Host header; empty means "localhost".
	Host string
	// Secret is sent with every call except Version; empty: none is sent.
	Secret string
}

// NewClient returns a client of the daemon on a port of a sandbox.
func NewClient(r reach.Reach, port int, secret string) Client {
	return Client{Host: r.Authority(port), Secret: secret, Dial: func(ctx context.Context) (net.Conn, error) {
		return r.Dial(ctx, port)
	}}
}

// Info describes a daemon that answered.
type Info struct {
	Kind, Version string
	// Build is version.Build of the built-in daemon's process; empty if it does not
	// report that, as older ones do.
	Build string
	// Latency is the round trip of the call.
	Latency time.Duration
	// Started is when the daemon started; zero if unknown.
	Started time.Time
}

// Listener is a TCP port in the sandbox on which something listens. Address is
// empty if the daemon does not report it, and the unspecified address if one of
// several listeners has it.
type Listener struct {
	Port    int
	Address string
}

// Answer is the response to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Authorize sets the headers that the daemon requires on a request.
func (c Client) Authorize(h http.Header) {
	delete(h, SecretHeader)
	if c.Secret != "" {
		h[SecretHeader] = []string{c.Secret}
	}
}

// Version calls GET /version, without the secret. The errors are those of Open
// and Conn.Version.
func (c Client) Version(ctx context.Context) (Info, error) {
	conn, err := c.Open(ctx)
	if err != nil {
		return Info{}, err
	}
	defer conn.Close()
	return conn.Version(ctx)
}

// Ports calls GET /port. The result is sorted by port.
func (c Client) Ports(ctx context.Context) ([]Listener, error) {
	answer, err := c.call(ctx, http.MethodGet, "/port")
	if err != nil {
		return nil, err
	}
	var reply struct {
		Ports     []int
		Listeners []Listener
	}
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &reply) != nil {
		return nil, &StatusError{Status: answer.Status}
	}
	ports := make([]Listener, 0, len(reply.Ports))
	for _, port := range reply.Ports {
		p := Listener{Port: port}
		for _, l := range reply.Listeners {
			if l.Port == port && (p.Address == "" || isUnspecified(l.Address)) {
				p.Address = l.Address
			}
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b Listener) int { return a.Port - b.Port })
	return ports, nil
}

func isUnspecified(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && ip.IsUnspecified()
}

// Shutdown calls POST /shutdown, which only the built-in daemon has.
func (c Client) Shutdown(ctx context.Context) error {
	answer, err := c.call(ctx, http.MethodPost, "/shutdown")
	if err == nil && answer.Status != http.StatusOK {
		err = &StatusError{Status: answer.Status}
	}
	return err
}

// StartDesktop calls POST /computeruse/start and waits until ctx ends. A refusal
// is a *StatusError.
func (c Client) StartDesktop(ctx context.Context) error {
	answer, err := c.Do(ctx, http.MethodPost, "/computeruse/start", maxAnswer)
	if err == nil && answer.Status >= 300 {
		err = &StatusError{Status: answer.Status, Reason: reason(answer.Body)}
	}
	return err
}

// reason extracts the explanation from the body of a refusal.
func reason(body []byte) string {
	var reply struct {
		Message string
		Details any
		Error   string
	}
	_ = json.Unmarshal(body, &reply) // a body that is not JSON explains nothing
	text := reply.Message
	if text == "" {
		text = reply.Error
	}
	if details, ok := reply.Details.(string); ok && details != "" {
		text += " (" + details + ")"
	}
	return text
}

// Get requests a path of the service on a port through the daemon and reads at
// most limit bytes of its body.
func (c Client) Get(ctx context.Context, port int, path string, limit int64) (Answer, error) {
	return c.Do(ctx, http.MethodGet, "/proxy/"+strconv.Itoa(port)+path, limit)
}

// Do sends a request and reads at most limit bytes of the body. A body that
// ends too early is not an error.
func (c Client) Do(ctx context.Context, method, target string, limit int64) (Answer, error) {
	where, err := url.ParseRequestURI(target)
	if err != nil {
		return Answer{}, err
	}
	conn, err := c.Open(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.expire)()
	request := c.request(method, where)
	request.Close = true
	request.Header.Set("Accept", "text/html,*/*;q=0.8")
	answer, err := conn.exchange(request, limit)
	if answer.Status != 0 {
		err = nil
	}
	return answer, err
}

// call sends a request that the daemon answers itself.
func (c Client) call(ctx context.Context, method, path string) (Answer, error) {
	conn, err := c.Open(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	return conn.ask(ctx, c.request(method, &url.URL{Path: path}))
}

func (c Client) request(method string, where *url.URL) *http.Request {
	r := &http.Request{Method: method, URL: where, Host: c.Host, Header: http.Header{"User-Agent": {"daemon-proxy"}}}
	if r.Host == "" {
		r.Host = "localhost"
	}
	c.Authorize(r.Header)
	return r
}

// Open connects within a second. The error is ErrRefused if nothing listens, and
// ctx's if it ended.
func (c Client) Open(ctx context.Context) (*Conn, error) {
	dialling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := c.Dial(dialling)
	switch {
	case err == nil:
		return &Conn{conn, bufio.NewReader(io.LimitReader(conn, maxAnswer))}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil, err
}

// Conn is one connection to what may be a daemon. Nothing secret is sent on it.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// Version calls GET /version. The error is ErrNotDaemon if something else
// answers, ErrClosed, which is one too, if nothing does, ErrSilent if there is no answer within a second, and ctx's if it ended.
func (c *Conn) Version(ctx context.Context) (Info, error) {
	start := time.Now()
	answer, err := c.ask(ctx, Client{}.request(http.MethodGet, &url.URL{Path: "/version"}))
	if err != nil {
		return Info{}, err
	}
	var reply struct {
		Version string
		Build   string
		Uptime  float64 `json:"uptime_seconds"` // the built-in daemon's
	}
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &reply) != nil || reply.Version == "" {
		return Info{}, fmt.Errorf("%w: GET /version answers %d", ErrNotDaemon, answer.Status)
	}
	info := Info{Kind: KindDaytona, Version: reply.Version, Latency: time.Since(start)}
	if answer.Header.Get("Server") == ServerName {
		info.Kind, info.Build = KindBuiltIn, reply.Build
	}
	if reply.Uptime > 0 {
		info.Started = time.Now().Add(-time.Duration(reply.Uptime * float64(time.Second)))
	}
	return info, nil
}

// Challenge has the built-in daemon prove that it knows the secret, which is not
// sent. The error is ErrNoChallenge or ErrSecret if it does not.
func (c *Conn) Challenge(ctx context.Context, secret string) error {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return err
	}
	nonce := rand.Text()
	answer, err := c.ask(ctx, Client{}.request(http.MethodGet, &url.URL{Path: ChallengePath + nonce}))
	if err != nil {
		return err
	}
	var reply struct{ Proof string }
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &reply) != nil {
		return fmt.Errorf("%w: the challenge is answered with %d", ErrNoChallenge, answer.Status)
	}
	if !hmac.Equal([]byte(reply.Proof), []byte(Proof(secret, nonce, at))) {
		return ErrSecret
	}
	return nil
}

// ask is exchange with a timeout of a second.
func (c *Conn) ask(ctx context.Context, request *http.Request) (Answer, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, c.expire)()
	answer, err := c.exchange(request, maxAnswer)
	switch {
	case err == nil:
		return answer, nil
	case whole.Err() != nil:
		return Answer{}, whole.Err()
	case ctx.Err() != nil:
		return Answer{}, fmt.Errorf("%w within %v", ErrSilent, callTimeout)
	}
	var broken *net.OpError
	if errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Answer{}, fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return Answer{}, fmt.Errorf("%w: %w", ErrNotDaemon, err)
}

// exchange sends a request and reads the answer. If only the body failed, the
// part that was read is returned with the error.
func (c *Conn) exchange(request *http.Request, limit int64) (Answer, error) {
	if err := request.Write(c); err != nil {
		return Answer{}, err
	}
	response, err := http.ReadResponse(c.r, request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	return Answer{response.StatusCode, response.Header, body}, err
}

// expire ends pending reads and writes on the connection.
func (c *Conn) expire() { _ = c.SetDeadline(time.Unix(1, 0)) }
