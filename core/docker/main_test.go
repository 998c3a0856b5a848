package docker_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "ClearAllForwardings=yes") {
		os.Exit(fakeSSH(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// fakeSSH is what the test binary does when it is started as the ssh command:
// it relays standard input and output to the socket that the remote
// `docker --host unix://… system dial-stdio` would use. The host's name
// chooses how it fails. It makes no tunnels: ssh_tunnel_test.go has a real ssh.
func fakeSSH(args []string) int {
	end := slices.Index(args, "--")
	host := args[end+1]
	if slices.Contains(args, "-N") && host != "deaf" {
		fmt.Fprintf(os.Stderr, "somebody@%s: Permission denied (publickey).\n", host)
		return 255
	}
	switch host {
	case "denied":
		fmt.Fprintln(os.Stderr, "somebody@denied: Permission denied (publickey).")
		return 255
	case "no-docker":
		fmt.Fprintln(os.Stderr, "sh: 1: docker: not found")
		return 127
	case "deaf": // goes on after it was hung up on
		signal.Ignore()
		select {}
	}
	_, socket, _ := strings.Cut(args[end+2], "unix://")
	socket, _, _ = strings.Cut(socket, "'")
	conn, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		return 1
	}
	return 0
}
