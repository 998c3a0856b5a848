//go:build !unix

package sandbox

import "os/exec"

// detach does nothing here: there is no session to leave.
func detach(*exec.Cmd) {}
