//go:build unix

package sandbox

import (
	"os/exec"
	"syscall"
)

// detach gives the command a session of its own, so that neither Ctrl-C in our
// terminal nor the end of that terminal reaches it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
