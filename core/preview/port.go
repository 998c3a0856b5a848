package preview

import (
	"fmt"
	"strconv"

	"daemon-proxy/core/api"
)

// ParsePort reads a port as URLs may have it: [1-9][0-9]{0,4}, at most 65535,
// and nothing else: no sign, no leading zero, no escape, no other digits. What
// passes cannot mean anything but a port to whoever reads it next. The error
// is an *api.Problem, CodeBadPort.
func ParsePort(s string) (int, error) {
	if len(s) == 0 || len(s) > 5 || s[0] == '0' {
		return 0, badPort(s)
	}
	port := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, badPort(s)
		}
		port = port*10 + int(s[i]-'0')
	}
	if port > 65535 {
		return 0, badPort(s)
	}
	return port, nil
}

// DaemonPort is the problem of a port that is the daemon's own.
func DaemonPort(port int, hint string) *api.Problem {
	return api.NewProblem(api.CodeDaemonPort, "port "+strconv.Itoa(port)+" is the daemon's own", hint).In("", port)
}

func badPort(s string) *api.Problem {
	if len(s) > 32 {
		s = s[:32] + "…"
	}
	return api.NewProblem(api.CodeBadPort,
		fmt.Sprintf("%+q is not a port", s), "use a number from 1 to 65535 without leading zeros")
}
