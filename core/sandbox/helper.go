package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"daemon-proxy/core/carrier"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// A container into which nothing can, or must, be put is reached by a helper: a
// container of this program in its network, which runs a bridge. Its daemon is then
// the built-in one in this program, whose connections to ports are the helper's; a
// daemon that the container has itself is used instead. A helper is started only
// by an injection, or again for a container that had one.

// The values of docker.helper, besides "auto".
const (
	helperAlways = "always"
	helperNever  = "never"
)

// thisRun distinguishes the helpers of this process from those that an earlier one
// left: its pid, and a random part.
var thisRun = strconv.Itoa(os.Getpid()) + "-" + rand.Text()

// runEnded reports whether the process that a run's name contains has ended. If
// another process has its pid by now, that is not noticed.
func runEnded(run string) bool {
	pid, _, _ := strings.Cut(run, "-")
	number, err := strconv.Atoi(pid)
	if err != nil || run == thisRun {
		return false
	}
	if number == os.Getpid() {
		return true
	}
	process, err := os.FindProcess(number)
	return err != nil || errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// canHelp reports whether containers may get helpers.
func (s *set) canHelp() bool {
	_, can := s.source.(source.Helper)
	return can && s.o.BoxDaemon != nil && s.o.Helper != helperNever && s.o.Reach != reachDirect && s.o.Reach != reachBridge
}

// mustHelp returns why every container gets a helper; empty if that is not so.
func (s *set) mustHelp() string {
	switch {
	case !s.canHelp():
		return ""
	case s.o.Reach == reachHelper:
		return "docker.reach is helper"
	case s.o.Helper == helperAlways:
		return "docker.helper is always"
	}
	return ""
}

// owner identifies the user of this program on this machine, among the users of an engine.
func (k keyring) owner() string {
	name, _ := os.Hostname() // without one, the key alone does
	return k.derive("helper " + name)[:32]
}

// openHelper starts a helper for a container, with a command as for openInside.
func (s *set) openHelper(
	ctx context.Context, job *inject.Job, command string, complaints io.Writer,
) (net.Conn, error) {
	helpers, ok := s.source.(source.Helper)
	if !ok {
		return nil, carrier.ErrNoBridge
	}
	program, err := job.BuiltIn()
	if err != nil {
		return nil, err
	}
	return helpers.OpenHelper(ctx, job.Container.ID, source.HelperSpec{
		Program: program, Args: []string{"toolbox", command},
		Owner: s.keys.owner(), Run: thisRun,
	}, complaints)
}

// sweepHelpers removes the helpers that earlier runs of this program left.
func (s *set) sweepHelpers(ctx context.Context) {
	helpers, ok := s.source.(source.Helper)
	if !ok {
		return
	}
	if err := helpers.RemoveHelpers(ctx, s.keys.owner(), runEnded); err != nil {
		s.log.Warn("the helpers of an earlier run could not be removed", "error", err)
	}
}
