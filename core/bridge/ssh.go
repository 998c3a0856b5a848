package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"daemon-proxy/core/api"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/ssh"
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
func SSH(ctx context.Context, t ssh.Target, o SSHOptions) (*Session, error) {
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	program, err := o.LookPath("ssh")
	if err != nil {
		return nil, api.NewProblem(api.CodeSSHFailed, "ssh is not installed on this machine",
			"install an ssh client (Debian: openssh-client)").Because(err)
	}
	p, err := ssh.Start(program, t.Args(!o.Unattended, farCommand), true, o.Stderr)
	if err != nil {
		return nil, api.NewProblem(api.CodeSSHFailed, "ssh cannot be started: "+err.Error(), "try "+t.Command()).Because(err)
	}
	c := &sshCommand{target: t, process: p}
	s, err := Near(ctx, p.Stdout, p.Stdin, o.Limits)
	if err != nil {
		p.End() // the problem has what it says
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
	p.Silence()
	s.reason, s.end = c.reason, func() error { p.End(); return nil }
	return s, nil
}

// sshCommand is an ssh with the far end at its other side.
type sshCommand struct {
	target  ssh.Target
	process *ssh.Process
}

// reason is why ssh ended; nil if it succeeded or does not end.
func (c *sshCommand) reason() error {
	_, err := c.process.Result()
	if err == nil {
		return nil
	}
	return c.problem(err)
}

// problem is why there is no session, or no more. ssh has ended, unless what
// it carries makes no sense.
func (c *sshCommand) problem(err error) *api.Problem {
	code, _ := c.process.Result()
	said, where := c.process.Said(), c.target.String()
	switch code {
	case ssh.ExitNotFound:
		return api.NewProblem(api.CodeNotInstalled, "daemon-proxy is not installed on "+where,
			"install it there, so that it is in the PATH of: "+c.target.Command()+" daemon-proxy version").Because(err)
	case ssh.ExitFailed:
		return api.NewProblem(api.CodeSSHFailed, fmt.Sprintf("ssh to %s failed: %s", where, orNothing(said)),
			"this must work first: "+c.target.Command()).Because(err)
	case -1, 0:
		detail := "the connection to " + where + " ended"
		if said != "" {
			detail += ": " + said
		}
		return api.NewProblem(api.CodeSSHFailed, detail, "this must print its version: "+
			c.target.Command()+" daemon-proxy version").Because(err)
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
