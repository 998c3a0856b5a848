package format

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// Lifetime returns how long a link still works, or when it ended.
func Lifetime(l api.Link, now time.Time) string {
	switch {
	case l.State == "revoked" && l.RevokedAt != nil:
		return "revoked " + Ago(now.Sub(*l.RevokedAt))
	case l.State == "revoked":
		return "revoked"
	case l.ExpiresAt == nil:
		return "until revoked"
	case !l.ExpiresAt.After(now):
		return "expired " + Ago(now.Sub(*l.ExpiresAt))
	}
	return Coarse(l.ExpiresAt.Sub(now)) + " left"
}

// Explain returns err in words and its hint, if it has one. Where a key is missing,
// the core's hint is for programs; a person has to give it to this one.
func Explain(err error) (what, try string) {
	problem, ok := errors.AsType[*api.Problem](err)
	switch {
	case !ok && errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time", "see what changed before you repeat it: it may still happen"
	case !ok:
		return err.Error(), ""
	case problem.Code == api.CodeUnauthorized:
		return problem.Error(), "quit, set DAEMON_PROXY_API_KEY to the API key of the core, and open it again"
	}
	return problem.Error(), problem.Hint
}

// TTL is how long a new link lives, in words.
func TTL(d time.Duration) string {
	switch {
	case d == 0:
		return "until revoked"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

var exitCodes = map[int]string{
	0: "done", 1: "an error", 137: "killed, perhaps out of memory", 139: "segmentation fault", 143: "asked to end",
}

// Container is the state of a container that is not running.
func Container(s api.Sandbox) string {
	if s.ExitCode == nil {
		return "is " + text.Clean(s.Container)
	}
	words := fmt.Sprintf("exited with %d", *s.ExitCode)
	if means := exitCodes[*s.ExitCode]; means != "" {
		words += " (" + means + ")"
	}
	return words
}

// Card describes what answers on a port, by its label if it has one.
func Card(card api.PortCard) string {
	switch {
	case card.Label != "":
		return text.Clean(card.Label)
	case card.Name != "":
		return text.Clean(card.Name)
	case card.Service == "other":
		return "not http"
	case card.Service == "rfb":
		return "VNC without a page"
	}
	return text.Clean(card.Service)
}

// Desktop describes the desktop that is shown on a port.
func Desktop(card api.PortCard) string {
	switch card.Desktop {
	case "", "noVNC":
		return "VNC desktop"
	case "desktop", "remote desktop":
		return card.Desktop
	}
	return text.Clean(card.Desktop) + " desktop"
}

// Status is the status of an exchange, or dots if there is none yet.
func Status(x api.Exchange) string {
	if x.Status == 0 {
		return "..."
	}
	return fmt.Sprint(x.Status)
}

// Clock formats a time of day, with the date if it is not today.
func Clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return "at " + t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

var codes = map[string]string{
	api.CodeNoDaemon: "no daemon there", api.CodeDaemonDown: "the daemon does not answer",
	api.CodeUpstreamCut: "hung up before it answered", api.CodeBadUpstream: "what answered is not HTTP",
	api.CodeCancelled: "the client went away", api.CodeSandboxMissing: "the container is gone",
	api.CodeUnreachable: "no address to dial",
}

// Code returns a short text for the code of an exchange's problem.
func Code(x api.Exchange) string {
	if x.Code == api.CodePortClosed {
		return fmt.Sprintf("nothing listens on %d", x.Port)
	}
	return cmp.Or(codes[x.Code], strings.ReplaceAll(text.Clean(x.Code), "_", " "))
}

// Version returns a version with its prefix: "v0.190.0".
func Version(s string) string {
	if s = text.Clean(s); s != "" && s[0] >= '0' && s[0] <= '9' {
		return "v" + s
	}
	return s
}

// StartHint returns how to start a container again.
func StartHint(s api.Sandbox, key func(string) string) string {
	if s.Container == api.ContainerPaused {
		return "docker unpause " + text.Clean(s.Name)
	}
	return key("container") + " starts it"
}
