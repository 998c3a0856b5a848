//go:build unix

package bridge

import (
	"os"
	"os/exec"
	"syscall"
)

// command is ssh such that Ctrl-C does not end it: that is meant for this program,
// which ends ssh. ssh stays in the terminal's foreground nevertheless, since it
// could not prompt from a process group of its own. It honours that the signal
// is ignored from the start, for which it takes a shell: this program must not
// ignore it, not even for a moment.
func command(program string, args []string) *exec.Cmd {
	shell := []string{"-c", `trap "" INT; exec "$0" "$@"`, program}
	return exec.Command("/bin/sh", append(shell, args...)...) //nolint:gosec,noctx // arguments are checked; Session ends it
}

// ask asks ssh to end: killed at a prompt, it would leave the terminal without echo.
func ask(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // fails only if it has ended by now
