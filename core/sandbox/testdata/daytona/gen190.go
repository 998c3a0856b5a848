//go:build !gen102 && !gen115

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const version = "v0.190.0"

// prepare wants the sandbox's id, and runs its arguments as a command, which
// leaves a session behind.
func prepare() {
	if os.Getenv("DAYTONA_SANDBOX_ID") == "" {
		fmt.Fprintln(os.Stderr, "Configuration validation failed: DAYTONA_SANDBOX_ID is required")
		os.Exit(2)
	}
	home := os.Getenv("HOME")
	if home == "" {
		os.Exit(2)
	}
	if len(os.Args) > 1 {
		session := filepath.Join(home, ".daytona/sessions/entrypoint")
		_ = os.MkdirAll(session, 0o755)
		err := exec.Command("/bin/sh", "-c", strings.Join(os.Args[1:], " ")).Run()
		_ = os.WriteFile(filepath.Join(session, "output.log"), fmt.Append(nil, err), 0o600)
	}
}
