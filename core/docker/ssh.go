package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// hangUpGrace is how long the ssh command may take to end after its streams were closed.
const hangUpGrace = 2 * time.Second

// maxComplaint bounds the kept standard error of the ssh command.
const maxComplaint = 4 << 10

// sshTarget is an engine that is reached with the user's own ssh, its
// configuration, keys and agent. A connection is the command
//
//	ssh … host docker system dial-stdio
//
// as in the docker CLI. Password prompts are disabled: they would appear on the
// terminal that the program draws on.
// See https://github.com/docker/cli/blob/master/cli/connhelper/connhelper.go
type sshTarget struct {
	user, host, port string
	socket           string // on the other machine; "": its default
	lookPath         func(string) (string, error)
}

// parseSSH reads "ssh://[user@]host[:port][/path/to/docker.sock]".
func parseSSH(address string, lookPath func(string) (string, error)) (sshTarget, error) {
	u, err := url.Parse(address)
	if err != nil {
		return sshTarget{}, errors.New("it is not a well-formed URL")
	}
	t := sshTarget{host: u.Hostname(), port: u.Port(), lookPath: lookPath}
	if u.Path != "/" {
		t.socket = u.Path
	}
	if u.User != nil {
		t.user = u.User.Username()
		if _, ok := u.User.Password(); ok {
			return sshTarget{}, errors.New("it must not have a password; use a key")
		}
	}
	switch {
	case t.host == "":
		return sshTarget{}, errors.New("it has no host name")
	case strings.HasPrefix(t.host, "-"), strings.HasPrefix(t.user, "-"):
		return sshTarget{}, errors.New("a name that begins with - would be an option of ssh")
	case u.RawQuery != "" || u.Fragment != "":
		return sshTarget{}, errors.New("it must not have a query")
	}
	return t, nil
}

// args are the arguments of ssh.
func (t sshTarget) args() []string {
	args := []string{"-o", "ConnectTimeout=10", "-o", "BatchMode=yes", "-T"}
	if t.user != "" {
		args = append(args, "-l", t.user)
	}
	if t.port != "" {
		args = append(args, "-p", t.port)
	}
	args = append(args, "--", t.host, "docker")
	if t.socket != "" { // quoted for the shell on the other side
		args = append(args, "--host", "'unix://"+strings.ReplaceAll(t.socket, "'", `'\''`)+"'")
	}
	return append(args, "system", "dial-stdio")
}

// dial starts the command. A failed login shows only in the first Read.
func (t sshTarget) dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	program, err := t.lookPath("ssh")
	if err != nil {
		return nil, &sshError{target: t, cause: err}
	}
	ours, theirIn, theirOut, err := stdioPipes()
	if err != nil {
		return nil, &sshError{target: t, cause: err}
	}
	c := &sshConn{target: t, in: ours.in, out: ours.out, done: make(chan struct{})}
	c.cmd = exec.Command(program, t.args()...) //nolint:gosec,noctx // the configured host; it outlives this call
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, &c.complaint
	c.cmd.WaitDelay = hangUpGrace
	detach(c.cmd)
	err = c.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close() // the command has its own copies
	if err != nil {
		_, _ = ours.in.Close(), ours.out.Close()
		return nil, &sshError{target: t, cause: err}
	}
	go func() { // Close ends the command and waits for done
		defer close(c.done)
		c.ended = c.cmd.Wait()
	}()
	return c, nil
}

// stdio is our side of the command's standard input and output.
type stdio struct{ in, out *os.File }

func stdioPipes() (ours stdio, theirIn, theirOut *os.File, err error) {
	theirIn, ours.in, err = os.Pipe()
	if err != nil {
		return stdio{}, nil, nil, err
	}
	ours.out, theirOut, err = os.Pipe()
	if err != nil {
		_, _ = theirIn.Close(), ours.in.Close()
		return stdio{}, nil, nil, err
	}
	return ours, theirIn, theirOut, nil
}

// sshConn is a net.Conn over the standard streams of an ssh command.
type sshConn struct {
	target    sshTarget
	cmd       *exec.Cmd
	in, out   *os.File // we write to in and read from out
	complaint tail     // standard error

	done      chan struct{} // closed when the command has been reaped
	ended     error         // of Wait; read it only after done
	closeOnce sync.Once
}

// Read implements net.Conn. If the command failed, the error is an *sshError with
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
	timer := time.NewTimer(hangUpGrace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		return err
	}
	if c.ended == nil {
		return err
	}
	return &dialError{cause: &sshError{target: c.target, cause: c.ended, said: c.complaint.String()}}
}

// CloseWrite ends the command's standard input.
func (c *sshConn) CloseWrite() error { return c.in.Close() }

// Close closes both streams and waits for the command's end; it kills one that does
// not end.
func (c *sshConn) Close() error {
	c.closeOnce.Do(func() {
		_, _ = c.in.Close(), c.out.Close() // CloseWrite may have been first
		timer := time.NewTimer(hangUpGrace)
		defer timer.Stop()
		select {
		case <-c.done:
		case <-timer.C:
			_ = c.cmd.Process.Kill() // fails only if it has ended by now
			<-c.done
		}
	})
	return nil
}

// LocalAddr implements net.Conn.
func (c *sshConn) LocalAddr() net.Addr { return sshAddr("local") }

// RemoteAddr implements net.Conn.
func (c *sshConn) RemoteAddr() net.Addr { return sshAddr(c.target.host) }

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

// tail keeps the last bytes written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxComplaint; over > 0 {
		t.kept = append([]byte(nil), t.kept[over:]...)
	}
	return len(p), nil
}

// String returns the kept bytes in one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.Join(bytes.Fields(t.kept), []byte(" ")))
}

// sshError is an ssh command that could not be started, or that failed.
type sshError struct {
	target sshTarget
	cause  error
	said   string // on its standard error
}

// Error implements error.
func (e *sshError) Error() string {
	if e.said != "" {
		return fmt.Sprintf("ssh to %s failed: %s", e.target.host, e.said)
	}
	return fmt.Sprintf("ssh to %s failed: %v", e.target.host, e.cause)
}

// Unwrap returns the cause.
func (e *sshError) Unwrap() error { return e.cause }

// hint depends on the exit code: 255 is an error of ssh itself, 127 the remote
// shell's "command not found".
func (e *sshError) hint() string {
	if errors.Is(e.cause, exec.ErrNotFound) {
		return "install an ssh client"
	}
	login := e.target.host
	if e.target.user != "" {
		login = e.target.user + "@" + login
	}
	if e.target.port != "" {
		login = "-p " + e.target.port + " " + login
	}
	if ended, ok := errors.AsType[*exec.ExitError](e.cause); ok && ended.ExitCode() == 127 {
		return "the docker CLI is needed on the other machine; without it: " +
			"ssh -L /tmp/docker.sock:/var/run/docker.sock " + login + " and DOCKER_HOST=unix:///tmp/docker.sock"
	}
	return "this must work without asking for a password (use a key and ssh-add): ssh " + login + " docker version"
}
