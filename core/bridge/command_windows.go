package bridge

import (
	"os"
	"os/exec"
	"syscall"
)

// command is ssh in a process group of its own, to which Ctrl-C does not get.
func command(program string, args []string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // arguments are checked; Session ends it
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

// ask ends ssh: there is no way to ask.
func ask(p *os.Process) { kill(p) }
