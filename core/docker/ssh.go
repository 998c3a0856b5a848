package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"daemon-proxy/core/ssh"
)

const (
	// defaultRemote is an engine's socket on another machine whose URL names none.
	defaultRemote = "/var/run/docker.sock"
	// loginWithin bounds one login and the engine's first answer.
	loginWithin = 30 * time.Second
	// asking is how many calls may wait for an answer at a time where each
	// connection is a login of its own.
	asking = 4
)

// sshTarget is an engine on another machine.
type sshTarget struct {
	ssh.Target
	socket   string // on the other machine; "": its default
	cli      string // "docker" or "podman"
	lookPath func(string) (string, error)
}

// parseSSH reads "ssh://[user@]host[:port][/path/to/docker.sock]".
func parseSSH(address string, lookPath func(string) (string, error)) (sshTarget, error) {
	u, err := url.Parse(address)
	if err != nil {
		return sshTarget{}, errors.New("it is not a well-formed URL")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return sshTarget{}, errors.New("it must not have a query")
	}
	target, err := ssh.TargetOf(u)
	if err != nil {
		return sshTarget{}, err
	}
	t := sshTarget{Target: target, cli: "docker", lookPath: lookPath}
	if u.Path != "/" {
		t.socket = u.Path
	}
	if strings.Contains(t.socket, "podman") {
		t.cli = "podman"
	}
	return t, nil
}

// dialStdio is the command that connects its streams to the engine, for any login
// shell. The CLI alone would outlive a connection on which nothing is sent to this
// side, such as that of an exec: the end of its input does not end it, nor does SIGTERM.
func (t sshTarget) dialStdio() string {
	words := []string{t.cli}
	if t.socket != "" {
		option := map[string]string{"docker": "--host", "podman": "--url"}[t.cli]
		words = append(words, option, quoted("unix://"+t.socket))
	}
	command := strings.Join(append(words, "system", "dial-stdio"), " ")
	// The first line of the pipe is the process that ends the CLI with its input.
	return "exec sh -c " + quoted(`exec 3<&0 4>&2 2>/dev/null; sh -c "echo \$\$; cat; kill -9 0" <&3 3<&- 4>&- | `+
		"{ read input; "+command+" 2>&4 3<&- 4>&-; code=$?; kill -9 $input; exit $code; }; exit $?")
}

// quoted is text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// sshRoute opens connections to an engine on another machine, through one tunnel.
// Where that is not possible, each connection is a login of its own and the
// command `docker system dial-stdio`, as in the docker CLI. Logins are made one
// after the other, because the other machine may allow only a few at a time.
type sshRoute struct {
	target sshTarget
	logger *slog.Logger
	ctx    context.Context // ends with close
	cancel context.CancelFunc

	turn chan struct{} // has an element while nobody logs in
	// tunnel is one through which the engine has answered; nil: none yet.
	tunnel  atomic.Pointer[ssh.Tunnel]
	refused atomic.Bool // there is no tunnel to this engine, but dial-stdio works
	calls   chan struct{}
}

func newSSHRoute(t sshTarget, logger *slog.Logger) *sshRoute {
	r := &sshRoute{target: t, logger: logger, turn: make(chan struct{}, 1), calls: make(chan struct{}, asking)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.turn <- struct{}{}
	return r
}

// close ends the tunnel; no other is opened.
func (r *sshRoute) close() {
	r.cancel()
	<-r.turn
	if tunnel := r.tunnel.Swap(nil); tunnel != nil {
		tunnel.Close()
	}
	r.turn <- struct{}{}
}

// dial opens a connection to the engine.
func (r *sshRoute) dial(ctx context.Context) (net.Conn, error) {
	if tunnel := r.tunnel.Load(); tunnel != nil {
		conn, err := through(ctx, tunnel)
		if err == nil || ctx.Err() != nil || tunnel.Err() == nil {
			return conn, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, loginWithin)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := errors.Join(ctx.Err(), r.ctx.Err()); err != nil {
		return nil, err
	}
	program, err := r.target.lookPath("ssh")
	if err != nil {
		return nil, &ssh.Error{Target: r.target.Target, Cause: err}
	}
	if r.refused.Load() {
		return r.dialStdio(ctx, program)
	}
	conn, err := r.dialTunnel(ctx, program)
	if err == nil || ctx.Err() != nil || !mayDialStdio(err) {
		return conn, err
	}
	conn, stdioErr := r.dialStdio(ctx, program)
	if stdioErr != nil {
		return nil, r.target.worse(err, stdioErr)
	}
	r.refused.Store(true)
	r.logger.Debug("no tunnel through ssh: each connection is a login of its own", "engine", r.target.String(), "error", err)
	return conn, nil
}

// dialTunnel opens a connection through the tunnel, which may have to be opened
// first. It returns when the engine has answered.
func (r *sshRoute) dialTunnel(ctx context.Context, program string) (net.Conn, error) {
	tunnel := r.tunnel.Load()
	if tunnel != nil && tunnel.Err() == nil { // somebody else has opened it
		return through(ctx, tunnel)
	}
	if tunnel != nil {
		r.tunnel.Store(nil)
		r.logger.Debug("the tunnel through ssh has ended", "engine", r.target.String(), "error", tunnel.Err())
		tunnel.Close()
	}
	remote := r.target.socket
	if remote == "" && r.target.cli == "docker" {
		remote = defaultRemote // Podman's depends on the user there; its CLI knows
	}
	tunnel, err := ssh.OpenTunnel(ctx, program, r.target.Target, remote)
	if err != nil {
		return nil, err
	}
	conn, err := through(ctx, tunnel)
	if err == nil {
		err = ping(ctx, conn)
	}
	if err != nil {
		if said := tunnel.Said(); ctx.Err() == nil && tunnel.Err() == nil {
			err = &socketError{target: r.target, socket: remote, said: said, cause: err}
		}
		tunnel.Close()
		return nil, err
	}
	r.tunnel.Store(tunnel)
	return conn, nil
}

// mayDialStdio reports whether dial-stdio may work where a tunnel failed with err:
// unless ssh itself has failed. A login that is refused may succeed through a
// connection that the user shares (ControlPath).
func mayDialStdio(err error) bool {
	failed, ok := errors.AsType[*ssh.Error](err)
	return !ok || strings.Contains(failed.Said, "Permission denied")
}

// worse is which of the two errors to report, of the tunnel and of dial-stdio.
func (t sshTarget) worse(tunnel, stdio error) error {
	failed, ok := errors.AsType[*ssh.Error](stdio)
	if _, refused := errors.AsType[*socketError](tunnel); refused && ok && notFound(failed) {
		return tunnel // there is no CLI, and it was not needed
	}
	return stdio
}

func notFound(err *ssh.Error) bool {
	ended, ok := errors.AsType[*exec.ExitError](err.Cause)
	return ok && ended.ExitCode() == ssh.ExitNotFound
}

// ping asks an engine for a first answer, which has no body.
func ping(ctx context.Context, conn net.Conn) error {
	// A deadline in the past ends reads and writes that are under way.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://docker/_ping", http.NoBody)
	if err == nil {
		err = req.Write(conn)
	}
	if err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(bufio.NewReader(conn), req); err == nil {
			err = resp.Body.Close()
		}
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // the first error counts
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

// through opens a connection through a tunnel.
func through(ctx context.Context, tunnel *ssh.Tunnel) (net.Conn, error) {
	conn, err := tunnel.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &tunnelConn{Conn: conn, tunnel: tunnel}, nil
}

// tunnelConn is a connection through a tunnel. If it ends with the tunnel, its
// errors say why.
type tunnelConn struct {
	net.Conn
	tunnel *ssh.Tunnel
}

// Read implements net.Conn.
func (c *tunnelConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

// Write implements net.Conn.
func (c *tunnelConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

func (c *tunnelConn) explain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		if ended := c.tunnel.Err(); ended != nil {
			return &dialError{cause: ended}
		}
	}
	return err
}

// dialStdio logs in for one connection. It returns when the engine has answered.
func (r *sshRoute) dialStdio(ctx context.Context, program string) (net.Conn, error) {
	process, err := ssh.Start(program, r.target.Args(false, r.target.dialStdio()), false, nil)
	if err != nil {
		return nil, &ssh.Error{Target: r.target.Target, Cause: err}
	}
	conn := &sshConn{target: r.target, process: process, in: process.Stdin, out: process.Stdout}
	if err := ping(ctx, conn); err != nil {
		return nil, err
	}
	return conn, nil
}

// limited bounds the calls that wait for an answer while each connection is a
// login of its own, so that a hundred calls do not mean a hundred logins. A call
// whose answer has begun, such as a stream of events, does not count.
type limited struct {
	http.RoundTripper
	route *sshRoute
}

// RoundTrip implements http.RoundTripper.
func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.route.refused.Load() {
		select {
		case l.route.calls <- struct{}{}:
			defer func() { <-l.route.calls }()
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return l.RoundTripper.RoundTrip(r)
}

// sshConn is a net.Conn over the standard streams of an ssh command.
type sshConn struct {
	target    sshTarget
	process   *ssh.Process
	in, out   *os.File // we write to in and read from out
	closeOnce sync.Once
}

// Read implements net.Conn. If the command failed, the error is an *ssh.Error with
// the command's message, in a *dialError that the Docker client does not replace.
func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if errors.Is(err, io.EOF) {
		err = c.failure(err)
	}
	return n, err
}

// Write implements net.Conn; for its errors see Read.
func (c *sshConn) Write(p []byte) (int, error) {
	n, err := c.in.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = c.failure(err)
	}
	return n, err
}

// failure returns why the command ended; err if it succeeded or still runs.
func (c *sshConn) failure(err error) error {
	_, ended := c.process.Result()
	if ended == nil {
		return err
	}
	return &dialError{cause: &ssh.Error{Target: c.target.Target, Cause: ended, Said: c.process.Said()}}
}

// Close closes both streams and waits for the command's end; it kills one that does
// not end.
func (c *sshConn) Close() error {
	c.closeOnce.Do(func() {
		_, _ = c.in.Close(), c.out.Close() // what was not written is lost
		c.process.End()
	})
	return nil
}

// LocalAddr implements net.Conn.
func (c *sshConn) LocalAddr() net.Addr { return sshAddr("local") }

// RemoteAddr implements net.Conn.
func (c *sshConn) RemoteAddr() net.Addr { return sshAddr(c.target.Host) }

// SetDeadline implements net.Conn.
func (c *sshConn) SetDeadline(t time.Time) error {
	return errors.Join(c.in.SetWriteDeadline(t), c.out.SetReadDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *sshConn) SetReadDeadline(t time.Time) error { return c.out.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *sshConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

type sshAddr string

func (sshAddr) Network() string  { return "ssh" }
func (a sshAddr) String() string { return string(a) }

// socketError is a socket on another machine to which the tunnel does not lead.
type socketError struct {
	target sshTarget
	socket string
	said   string
	cause  error
}

// Error implements error.
func (e *socketError) Error() string {
	return fmt.Sprintf("the socket %s on %s cannot be reached: %s", e.socket, e.target, e.said)
}

// Unwrap returns the cause.
func (e *socketError) Unwrap() error { return e.cause }

func (e *socketError) hint() string {
	return fmt.Sprintf("start the engine there, add the path of its socket (%s/PATH), or allow forwarding to sockets "+
		"in its sshd_config (AllowStreamLocalForwarding)", "ssh://"+e.target.String())
}

// hintOf depends on the exit code: 127 is the remote shell's "command not found".
func (t sshTarget) hintOf(err *ssh.Error) string {
	if errors.Is(err.Cause, exec.ErrNotFound) {
		return "install an ssh client"
	}
	if notFound(err) {
		return fmt.Sprintf("allow forwarding to sockets on the other machine (AllowStreamLocalForwarding in sshd_config), "+
			"or install the %s CLI there", t.cli)
	}
	return fmt.Sprintf("this must work without asking for a password (use a key and ssh-add): %s %s version", t.Command(), t.cli)
}
