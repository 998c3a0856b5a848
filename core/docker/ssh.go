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

// maxComplaint bounds what is kept of the standard error of the ssh command.
const maxComplaint = 4 << 10

// sshTarget is an engine behind the user's own ssh: its configuration, keys
// and agent count. A connection is the command
//
//	ssh … host docker system dial-stdio
//
// as the docker CLI has it. Questions for a password are switched off: they
// would go to the terminal that the program draws on.
// See https://github.com/docker/cli/blob/master/cli/connhelper/connhelper.go
type sshTarget struct {
	user, host, port string
	socket           string // on the other machine; "" for its default
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
			return sshTarget{}, errors.New("a password may not stand in it; use a key")
		}
	}
	switch {
	case t.host == "":
		return sshTarget{}, errors.New("it has no host name")
	case strings.HasPrefix(t.host, "-"), strings.HasPrefix(t.user, "-"):
		return sshTarget{}, errors.New("a name that begins with - would be an option of ssh")
	case u.RawQuery != "" || u.Fragment != "":
		return sshTarget{}, errors.New("a query has no meaning in it")
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

// dial starts the command. That it cannot log in shows only in the first Read.
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
	c.cmd = exec.Command(program, t.args()...) //nolint:gosec,noctx // ssh, to the configured host; it outlives the call that dialled
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, &c.complaint
	c.cmd.WaitDelay = hangUpGrace
	detach(c.cmd)
	err = c.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close() // the command has its own copies
	if err != nil {
		_, _ = ours.in.Close(), ours.out.Close()
		return nil, &sshError{target: t, cause: err}
	}
	go func() { // ended and waited for by Close, through the end of the command
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

	done      chan struct{} // closed when the command was reaped
	ended     error         // of Wait; read it after done only
	closeOnce sync.Once
}

// Read is of net.Conn. The end of a command that failed is an *sshError with
// what the command said, in a *dialError that gets it past the Docker client.
func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if errors.Is(err, io.EOF) {
		err = c.failure(err)
	}
	return n, err
}

// Write is of net.Conn; for its errors see Read.
func (c *sshConn) Write(p []byte) (int, error) {
	n, err := c.in.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = c.failure(err)
	}
	return n, err
}

// failure is why the command ended, or err where it ended well or lives on.
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

// CloseWrite tells the other side that nothing more comes.
func (c *sshConn) CloseWrite() error { return c.in.Close() }

// Close hangs up and waits for the command's end; one that does not end is killed.
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

// LocalAddr is of net.Conn.
func (c *sshConn) LocalAddr() net.Addr { return sshAddr("local") }

// RemoteAddr is of net.Conn.
func (c *sshConn) RemoteAddr() net.Addr { return sshAddr(c.target.host) }

// SetDeadline is of net.Conn.
func (c *sshConn) SetDeadline(t time.Time) error {
	return errors.Join(c.in.SetWriteDeadline(t), c.out.SetReadDeadline(t))
}

// SetReadDeadline is of net.Conn.
func (c *sshConn) SetReadDeadline(t time.Time) error { return c.out.SetReadDeadline(t) }

// SetWriteDeadline is of net.Conn.
func (c *sshConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

type sshAddr string

func (sshAddr) Network() string  { return "ssh" }
func (a sshAddr) String() string { return string(a) }

// tail keeps the last bytes written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write is of io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxComplaint; over > 0 {
		t.kept = append([]byte(nil), t.kept[over:]...)
	}
	return len(p), nil
}

// String is what was kept, in one line.
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

// Error is of error.
func (e *sshError) Error() string {
	if e.said != "" {
		return fmt.Sprintf("ssh to %s failed: %s", e.target.host, e.said)
	}
	return fmt.Sprintf("ssh to %s failed: %v", e.target.host, e.cause)
}

// Unwrap is the cause.
func (e *sshError) Unwrap() error { return e.cause }

// hint tells the ways in which an ssh command fails apart by its exit code:
// 255 is its own, 127 the other shell's "no such program".
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
		return "the docker CLI is needed on the other machine; without it: ssh -L /tmp/docker.sock:/var/run/docker.sock " + login +
			" and DOCKER_HOST=unix:///tmp/docker.sock"
	}
	return "this must work without a question for a password (use a key and ssh-add): ssh " + login + " docker version"
}
