// Package ssh runs the user's own ssh, with its configuration, keys and agent.
//
// A Process is one ssh whose standard streams belong to this program. A Tunnel
// is one that leads to a Unix socket of the other machine. Neither outlives this
// program, even if that is killed.
//
// It knows nothing of what is carried.
package ssh

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Exit codes of ssh: its own failure, and that of a shell that finds no program.
const (
	ExitFailed   = 255
	ExitNotFound = 127
)

// Target is where ssh goes.
type Target struct {
	User string // empty: ssh decides
	Host string // a name, an alias of the ssh configuration, or an address
	Port string // empty: ssh decides

	// Identity is the file of a private key, which is then the only one offered;
	// empty: ssh decides.
	Identity string
	// AnyHostKey accepts whatever key the host has: for a virtual machine of this
	// one, which gets a new one when it is created again.
	AnyHostKey bool
}

// What ssh is given must not be taken for an option, nor mean anything to a
// shell: the user's own configuration may put it into a command (%h, %r).
var (
	plainHost = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	plainUser = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.+@-]*$`)
	plainZone = regexp.MustCompile(`^[A-Za-z0-9_.]*$`)
)

// TargetOf returns the target of "ssh://[user@]host[:port]…", whatever follows.
// The error never quotes a password.
func TargetOf(u *url.URL) (Target, error) {
	t := Target{User: u.User.Username(), Host: u.Hostname(), Port: u.Port()}
	if _, ok := u.User.Password(); ok {
		return Target{}, errors.New("it must not have a password; use a key")
	}
	if addr, err := netip.ParseAddr(t.Host); err == nil {
		if !plainZone.MatchString(addr.Zone()) {
			return Target{}, fmt.Errorf("%q is not a host", t.Host)
		}
	} else if !plainHost.MatchString(t.Host) {
		return Target{}, fmt.Errorf("%q is not a host", t.Host)
	}
	if u.User != nil && !plainUser.MatchString(t.User) {
		return Target{}, fmt.Errorf("%q is not a user", t.User)
	}
	if port, err := strconv.Atoi(t.Port); t.Port != "" && (err != nil || port < 1 || port > 65535) {
		return Target{}, fmt.Errorf("%q is not a port", t.Port)
	}
	return t, nil
}

// String is what a person calls it: "me@box", or "me@box:2222".
func (t Target) String() string {
	text := t.Host
	if t.User != "" {
		text = t.User + "@" + text
	}
	if t.Port != "" {
		text += ":" + t.Port
	}
	return text
}

// Command is how a person would try the same: "ssh -p 2222 me@box".
func (t Target) Command() string {
	words := []string{"ssh"}
	if t.Identity != "" {
		words = append(words, "-i", t.Identity)
	}
	if t.Port != "" {
		words = append(words, "-p", t.Port)
	}
	if t.User != "" {
		return strings.Join(append(words, t.User+"@"+t.Host), " ")
	}
	return strings.Join(append(words, t.Host), " ")
}

// Args are the arguments of an ssh that runs a command there. It never becomes
// the master of a shared connection, which would outlive it, and it forwards
// nothing, whatever the configuration says.
func (t Target) Args(attended bool, command string) []string {
	args := []string{
		"-T", "-a", "-x", "-o", "ControlMaster=no", "-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no",
		"-o", "RemoteCommand=none",
	}
	if !attended {
		args = append(args, unattended...)
	}
	return append(args, append(t.login(), command)...)
}

// unattended are the options that fail where a person would have to be asked.
var unattended = []string{"-o", "BatchMode=yes", "-o", "ConnectTimeout=10"}

// login are the arguments that say where ssh goes, and as whom.
func (t Target) login() (args []string) {
	if t.Identity != "" {
		args = append(args, "-i", t.Identity, "-o", "IdentitiesOnly=yes")
	}
	if t.AnyHostKey {
		args = append(args, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "CheckHostIP=no")
	}
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if t.Port != "" {
		args = append(args, "-p", t.Port)
	}
	return append(args, "--", t.Host)
}

// Error is an ssh that could not be started, or that has failed.
type Error struct {
	Target Target
	Cause  error
	Said   string // on its standard error, in one line; may be empty
}

// Error implements error.
func (e *Error) Error() string {
	if e.Said != "" {
		return fmt.Sprintf("ssh to %s failed: %s", e.Target, e.Said)
	}
	return fmt.Sprintf("ssh to %s failed: %v", e.Target, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
