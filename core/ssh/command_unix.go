//go:build unix

package ssh

import (
	"os/exec"
	"syscall"
)

// foreground is ssh such that Ctrl-C does not end it: that is meant for this
// program, which ends ssh. ssh stays in the terminal's foreground nevertheless,
// since it could not prompt from a process group of its own. It honours that the
// signal is ignored from the start, for which it takes a shell: this program must
// not ignore it, not even for a moment.
func foreground(program string, args []string) *exec.Cmd {
	shell := []string{"-c", `trap "" INT; exec "$0" "$@"`, program}
	return exec.Command("/bin/sh", append(shell, args...)...) //nolint:gosec,noctx // arguments are checked; End ends it
}

// background is ssh in a session of its own, to which no key of the terminal gets.
func background(program string, args []string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:noctx // arguments are checked; End ends it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// ask asks ssh to end: killed at a prompt, it would leave the terminal without echo.
// In the background it has no terminal; there only a shell around it might end.
func ask(cmd *exec.Cmd) {
	if cmd.SysProcAttr != nil && cmd.SysProcAttr.Setsid {
		kill(cmd)
		return
	}
	signal(cmd, syscall.SIGTERM)
}

func kill(cmd *exec.Cmd) { signal(cmd, syscall.SIGKILL) }

// signal sends a signal to the process; in the background, to all of its session,
// some of which may be left when ssh has ended.
func signal(cmd *exec.Cmd, s syscall.Signal) {
	if cmd.SysProcAttr != nil && cmd.SysProcAttr.Setsid {
		_ = syscall.Kill(-cmd.Process.Pid, s) // fails only if none is left
		return
	}
	_ = cmd.Process.Signal(s) // fails only if it has ended by now
}
