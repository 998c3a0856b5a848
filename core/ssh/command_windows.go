package ssh

import (
	"os/exec"
	"syscall"
)

// foreground is ssh in a process group of its own, to which Ctrl-C does not get.
func foreground(program string, args []string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // arguments are checked; End ends it
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

// background is the same: there are no sessions.
func background(program string, args []string) *exec.Cmd { return foreground(program, args) }

// ask ends ssh: there is no way to ask.
func ask(cmd *exec.Cmd) { kill(cmd) }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() } // fails only if it has ended by now
