// Package format puts values into words: durations, sizes and counts, keys, and
// the states of sandboxes, ports, links and exchanges.
package format

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Span is a duration in at most two units: "850ms", "3m12s", "2d4h".
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Coarse is Span in minutes, as the screen may be redrawn only once a minute.
func Coarse(d time.Duration) string {
	if d < time.Minute {
		return "<1m"
	}
	return strings.TrimSuffix(Span(d.Truncate(time.Minute)), "00s")
}

// Ago is a duration in one unit, with the word: "2s ago".
func Ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours())/24)
}

// Latency has two significant digits: "1.1ms", "88ms", "1.2s".
func Latency(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return "-"
	case ms < 10:
		return strings.TrimSuffix(strconv.FormatFloat(ms, 'f', 1, 64), ".0") + "ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
	case ms < 60_000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + "s"
	}
	return Span(d)
}

// Size is a number of bytes in decimal units.
func Size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, units := float64(n)/1000, "kMGT"
	for v >= 1000 && len(units) > 1 {
		v, units = v/1000, units[1:]
	}
	return fmt.Sprintf("%.1f %cB", v, units[0])
}

// Count is "1 preview", "3 previews", "1,204 requests".
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return Thousands(n) + " " + thing
}

// Thousands is n with a comma between groups of three digits.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

var keyNames = strings.NewReplacer(
	"up", "↑", "down", "↓", "left", "←", "right", "→",
	"pgup", "PgUp", "pgdown", "PgDn", "pg↑", "PgUp", "pg↓", "PgDn",
)

// Keys returns keys as they are displayed.
func Keys(keys []string) string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = keyNames.Replace(key)
	}
	return strings.Join(out, " ")
}

// KeyName returns the name of a key in the action table and the configuration.
func KeyName(key tea.KeyMsg) string {
	if name := key.String(); name != " " {
		return name
	}
	return "space"
}

// Retry returns when a lost engine is tried again, to follow its state: ", retry 8s";
// empty while it is tried.
func Retry(at *time.Time, now time.Time) string {
	if at == nil || !at.After(now) {
		return ""
	}
	return ", retry " + Span(at.Sub(now)+time.Second-1)
}
