package bridge

import (
	"errors"
	"net/url"
	"strings"

	"daemon-proxy/core/ssh"
)

// Scheme begins the URL of a core that is reached by ssh.
const Scheme = "ssh://"

// ParseTarget reads "ssh://[user@]host[:port]". The error never quotes a password.
func ParseTarget(address string) (ssh.Target, error) {
	if !strings.HasPrefix(address, Scheme) {
		return ssh.Target{}, errors.New("want ssh://[user@]host[:port]")
	}
	u, err := url.Parse(address)
	if err != nil {
		return ssh.Target{}, errors.New("it is not a well-formed URL: want ssh://[user@]host[:port]")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return ssh.Target{}, errors.New("nothing may follow the host: want ssh://[user@]host[:port]")
	}
	return ssh.TargetOf(u)
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
