package system

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"strings"
)

// ScreenName names the program at a terminal for people: "you@desk pts/3". What
// cannot be found out is omitted.
func ScreenName(terminal *os.File) string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = cmp.Or(u.Username, name)
	}
	if host, err := os.Hostname(); err == nil {
		host, _, _ = strings.Cut(host, ".")
		name += "@" + host
	}
	if tty, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", terminal.Fd())); err == nil {
		if tty, ok := strings.CutPrefix(tty, "/dev/"); ok {
			name += " " + tty
		}
	}
	return name
}
