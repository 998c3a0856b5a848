package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Scheme begins the URL of a core that is reached by ssh.
const Scheme = "ssh://"

// Target is where ssh goes.
type Target struct {
	User string // empty: ssh decides
	Host string // a name, an alias of the ssh configuration, or an address
	Port string // empty: ssh decides
}

// What ssh is given must not be taken for an option, nor mean anything to a
// shell: the user's own configuration may put it into a command (%h, %r).
var (
	plainHost = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	plainUser = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.+@-]*$`)
	plainZone = regexp.MustCompile(`^[A-Za-z0-9_.]*$`)
)

// ParseTarget reads "ssh://[user@]host[:port]". The error never quotes a password.
func ParseTarget(address string) (Target, error) {
	if !strings.HasPrefix(address, Scheme) {
		return Target{}, errors.New("want ssh://[user@]host[:port]")
	}
	u, err := url.Parse(address)
	if err != nil {
		return Target{}, errors.New("it is not a well-formed URL: want ssh://[user@]host[:port]")
	}
	t := Target{User: u.User.Username(), Host: u.Hostname(), Port: u.Port()}
	if _, ok := u.User.Password(); ok {
		return Target{}, errors.New("it must not have a password: ssh asks for it, or use a key")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return Target{}, errors.New("nothing may follow the host: want ssh://[user@]host[:port]")
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

// command is how a person would try the same: "ssh -p 2222 me@box".
func (t Target) command() string {
	words := []string{"ssh"}
	if t.Port != "" {
		words = append(words, "-p", t.Port)
	}
	if t.User != "" {
		return strings.Join(append(words, t.User+"@"+t.Host), " ")
	}
	return strings.Join(append(words, t.Host), " ")
}

// farCommand starts the far end. The login shell that runs it may be any: so it is
// one line in single quotes, without what a shell may see in them (', ! and, in
// fish, a pair of backslashes). A program that is not in the PATH of such a
// session is found in the usual folders, or where the core that runs there has it.
const farCommand = `exec sh -c '` +
	`PATH=$PATH:$HOME/.local/bin:$HOME/bin:$HOME/go/bin:/usr/local/bin:/opt/homebrew/bin; ` +
	`command -v daemon-proxy >/dev/null 2>&1 && exec daemon-proxy bridge; ` +
	`f=${XDG_STATE_HOME:-$HOME/.local/state}/daemon-proxy/core.json; ` +
	`p=$(cat "$f" 2>/dev/null); ` +
	`case $p in *executable???*) p=${p#*executable???}; p=${p%%\"*}; [ -x "$p" ] && exec "$p" bridge;; esac; ` +
	`echo "daemon-proxy: not found" >&2; exit 127'`

// args are the arguments of ssh. It never becomes the master of a shared
// connection, which would outlive it, and it forwards nothing.
func (t Target) args(unattended bool) []string {
	args := []string{
		"-T", "-a", "-x", "-o", "ControlMaster=no", "-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no",
		"-o", "RemoteCommand=none",
	}
	if unattended {
		args = append(args, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
	}
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if t.Port != "" {
		args = append(args, "-p", t.Port)
	}
	return append(args, "--", t.Host, farCommand)
}
