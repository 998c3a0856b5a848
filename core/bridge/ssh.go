package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/mux"
)

const (
	// hangUp is how long ssh may take to end once its streams are closed, and then
	// once it was asked to.
	hangUp = 2 * time.Second
	// quiet is how long what ssh writes is held back while it connects: if it
	// fails soon, the error has it.
	quiet = time.Second
	// maxComplaint bounds how much of what ssh wrote is kept.
	maxComplaint = 4 << 10
)

// Exit codes of ssh: its own failure, and that of a shell that finds no program.
const (
	exitSSH      = 255
	exitNotFound = 127
)

// SSHOptions configure SSH.
type SSHOptions struct {
	// LookPath finds ssh; nil: exec.LookPath.
	LookPath func(string) (string, error)
	// Stderr gets what ssh has to say while it connects, such as that a key has to
	// be touched. Prompts are not among it: ssh reads and writes them at
	// the terminal itself. nil: only an error has it.
	Stderr io.Writer
	// Unattended fails where ssh would have to ask a person.
	Unattended bool
	Limits     mux.Limits
}

// SSH runs the user's own ssh, with its configuration, agent and prompts, and the
// far end at its other side. It waits for as long as ssh does, until ctx ends.
// Errors are *api.Problem.
func SSH(ctx context.Context, t Target, o SSHOptions) (*Session, error) {
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	program, err := o.LookPath("ssh")
	if err != nil {
		return nil, api.NewProblem(api.CodeSSHFailed, "ssh is not installed on this machine",
			"install an ssh client (Debian: openssh-client)").Because(err)
	}
	c, in, out, err := startSSH(program, t, o)
	if err != nil {
		return nil, api.NewProblem(api.CodeSSHFailed, "ssh cannot be started: "+err.Error(), "try "+t.command()).Because(err)
	}
	s, err := Near(ctx, in, out, o.Limits)
	if err != nil {
		_ = c.close() // the problem has what it says
		if problem, ok := errors.AsType[*api.Problem](err); ok {
			said := *problem
			said.Detail = t.String() + ": " + said.Detail
			return nil, &said
		}
		if ctx.Err() != nil {
			return nil, api.NewProblem(api.CodeCancelled, "the connection to "+t.String()+" was cancelled", "try again")
		}
		return nil, c.problem(err)
	}
	c.said.silence()
	s.reason, s.end = c.reason, c.close
	return s, nil
}

// sshCommand is a running ssh.
type sshCommand struct {
	target Target
	cmd    *exec.Cmd
	said   complaint
	done   chan struct{} // closed when it has been reaped
	ended  error         // of Wait; read it only after done
}

// startSSH starts ssh; in and out are our ends of its streams.
func startSSH(program string, t Target, o SSHOptions) (c *sshCommand, in, out *os.File, err error) {
	theirIn, out, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	in, theirOut, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, theirIn.Close(), out.Close())
	}
	c = &sshCommand{target: t, cmd: command(program, t.args(o.Unattended)), done: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, &c.said
	c.cmd.WaitDelay = hangUp
	err = c.cmd.Start()
	err = errors.Join(err, theirIn.Close(), theirOut.Close()) // it has its own copies
	if err != nil {
		return nil, nil, nil, errors.Join(err, in.Close(), out.Close())
	}
	c.said.showAfter(quiet, o.Stderr)
	go func() { // close waits for done
		defer close(c.done)
		c.ended = c.cmd.Wait()
	}()
	return c, in, out, nil
}

// close waits for the end of ssh, whose streams are closed; it ends one that
// does not end.
func (c *sshCommand) close() error {
	c.said.silence()
	for _, end := range []func(*os.Process){ask, kill} {
		timer := time.NewTimer(hangUp)
		select {
		case <-c.done:
			timer.Stop()
			return nil
		case <-timer.C:
			end(c.cmd.Process)
		}
	}
	<-c.done
	return nil
}

func kill(p *os.Process) { _ = p.Kill() } // fails only if it has ended by now

// reason is why ssh ended; nil if it succeeded or does not end.
func (c *sshCommand) reason() error {
	timer := time.NewTimer(hangUp)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		return nil
	}
	if c.ended == nil {
		return nil
	}
	return c.problem(c.ended)
}

// problem is why there is no session, or no more. ssh has ended, unless what
// it carries makes no sense.
func (c *sshCommand) problem(err error) *api.Problem {
	code, said := -1, c.said.String()
	if ended, ok := errors.AsType[*exec.ExitError](c.ended); ok {
		code = ended.ExitCode()
	}
	where := c.target.String()
	switch code {
	case exitNotFound:
		return api.NewProblem(api.CodeNotInstalled, "daemon-proxy is not installed on "+where,
			"install it there, so that it is in the PATH of: "+c.target.command()+" daemon-proxy version").Because(err)
	case exitSSH:
		return api.NewProblem(api.CodeSSHFailed, fmt.Sprintf("ssh to %s failed: %s", where, orNothing(said)),
			"this must work first: "+c.target.command()).Because(err)
	case -1, 0:
		detail := "the connection to " + where + " ended"
		if said != "" {
			detail += ": " + said
		}
		return api.NewProblem(api.CodeSSHFailed, detail, "this must print its version: "+
			c.target.command()+" daemon-proxy version").Because(err)
	}
	return api.NewProblem(api.CodeSSHFailed, fmt.Sprintf("daemon-proxy on %s failed: %s", where, orNothing(said)),
		"correct that there, or install the same version on both machines").Because(err)
}

func orNothing(said string) string {
	if said == "" {
		return "it gives no reason"
	}
	return said
}

// complaint keeps the last bytes that ssh wrote to its standard error, and shows
// them while it may need a person.
type complaint struct {
	mu     sync.Mutex
	kept   []byte
	shown  io.Writer // nil: nobody
	silent bool
	timer  *time.Timer
}

// showAfter shows what was and will be written, once it was held back for a while.
func (c *complaint) showAfter(wait time.Duration, to io.Writer) {
	if to == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.silent {
			_, _ = to.Write(c.kept) // a terminal that has gone
			c.shown = to
		}
	})
}

// silence ends what showAfter began.
func (c *complaint) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown, c.silent = nil, true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// Write implements io.Writer.
func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shown != nil {
		_, _ = c.shown.Write(p) // a terminal that has gone
	}
	c.kept = append(c.kept, p...)
	if over := len(c.kept) - maxComplaint; over > 0 {
		c.kept = append([]byte(nil), c.kept[over:]...)
	}
	return len(p), nil
}

// String is what was kept, in one line that may be shown.
func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return logging.Printable(string(bytes.Join(bytes.Fields(c.kept), []byte(" "))))
}
