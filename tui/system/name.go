package system

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"
)

// ScreenName names the program at a terminal for people: "you@desk pts/3". What
// cannot be found out is omitted. In a container, whose host name is a number that
// means nothing to a person, the place is "container".
func ScreenName(terminal *os.File) string {
	name := fmt.Sprintf("user-%d", os.Getuid()) // an image need not have names
	if u, err := user.Current(); err == nil {
		name = cmp.Or(u.Username, name)
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + place(host, inContainer())
	}
	if tty, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", terminal.Fd())); err == nil {
		if tty, ok := strings.CutPrefix(tty, "/dev/"); ok {
			name += " " + tty
		}
	}
	return name
}

// containerID is the host name that an engine gives to a container.
var containerID = regexp.MustCompile(`^[0-9a-f]{12}$`)

// place is a machine by its host name.
func place(host string, inContainer bool) string {
	if inContainer && containerID.MatchString(host) {
		return "container"
	}
	host, _, _ = strings.Cut(host, ".")
	return host
}

// inContainer reports whether an engine has made this file system.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}
