// Package version tells which version of this program a binary is.
package version

import (
	"runtime/debug"
	"strings"
)

// String returns what the build recorded: the release's tag, "devel-" and the
// commit between releases, or "devel" if it was built outside a checkout.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return short(info.Main.Version)
}

// short returns what is shown of a module's version. A commit without a tag is a
// pseudo-version, such as v1.2.4-0.20060102150405-abcdef123456
// (https://go.dev/ref/mod#pseudo-versions).
func short(module string) string {
	if module == "" || module == "(devel)" {
		return "devel"
	}
	version, dirty := strings.CutSuffix(module, "+dirty")
	parts := strings.Split(version, "-")
	if len(parts) < 3 {
		return module
	}
	commit, at := parts[len(parts)-1], parts[len(parts)-2]
	at = at[strings.LastIndexByte(at, '.')+1:]
	if !consistsOf(commit, 12, "0123456789abcdef") || !consistsOf(at, 14, "0123456789") {
		return module
	}
	if dirty {
		return "devel-" + commit[:7] + "+dirty"
	}
	return "devel-" + commit[:7]
}

func consistsOf(text string, length int, characters string) bool {
	return len(text) == length && strings.Trim(text, characters) == ""
}
