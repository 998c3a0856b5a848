//go:build unix

package docker

import (
	"os/exec"
	"syscall"
)

// detach gives the command a session of its own, so that Ctrl-C in our
// terminal does not end it before us.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
