package ports

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/logging/lineartest"
)

func TestS43WhatServicesAndLabelsSayIsReadInLinearTime(t *testing.T) {
	t.Parallel()
	port := func() *api.PortCard { return &api.PortCard{Port: api.Port{Port: 3000}, Service: "other"} }
	for name, work := range map[string]func(string){
		"answer": func(s string) {
			p := page{status: 400, body: s, header: http.Header{"Server": {s}}, path: "/" + s}
			p.wantsTLS()
			mentionsVNC(p)
			describe(port(), p)
			desktopOf(p, s)
			isNoVNC(p)
		},
		"desktop":     func(s string) { readDesktop(s).complete(port()) },
		"redirect":    func(s string) { page{status: 302, path: "/" + s, header: http.Header{"Location": {s}}}.redirect(3000) },
		"certificate": func(s string) { isTLS(port(), s) },
		"banner":      func(s string) { readBanner(port(), s) },
		"reason":      func(s string) { _ = reason(&daemon.StatusError{Reason: s}) },
		"oneLine":     func(s string) { oneLine(s) },
		"label":       func(s string) { readDevcontainer(s).complete(port()) },
		"rule":        func(s string) { (&portRule{}).parse(s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, unit := range []string{
				"a", " ", "\x1b", "\xff", "<title", "<input type=", "../", "auth-",
				"configured with a public base URL of ", "{", `"`, `[{"portsAttributes":`, "(", "x{1000}",
			} {
				lineartest.Run(t, "", unit, "", work)
			}
			lineartest.Run(t, `{"portsAttributes":{"a":1`, `,"(a{999}":{"label":"a"}`, "}}", work)
			lineartest.Run(t, `{"forwardPorts":[1`, `,"1"`, "]}", work)
		})
	}
	for _, unit := range []string{"a", " ", "&", "&a", "&#1", "&amp", "<title>"} {
		lineartest.Run(t, "<title>", unit, "</title>", func(s string) { describe(port(), page{status: 200, body: s}) })
	}
}

// TestS43ALabelOfExpressionsNeedsLittleMemory is not parallel: it measures what
// the process allocates.
func TestS43ALabelOfExpressionsNeedsLittleMemory(t *testing.T) {
	for _, unit := range []string{"x{1000}", "(?:x{9}){99}", `\\pL`, "(?i:k)", "a?"} {
		var label strings.Builder
		label.WriteString(`{"portsAttributes":{"3000":{"label":"first"}`)
		for i := 0; label.Len() < longestLabel-1000; i++ {
			fmt.Fprintf(&label, `,"%s%d":{"label":"many"}`, strings.Repeat(unit, 190/len(unit)), i)
		}
		label.WriteString("}}")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NotEmpty(t, readDevcontainer(label.String()).ports)
		runtime.ReadMemStats(&after)
		mib := float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
		t.Logf("%s: %.1f MiB", unit, mib)
		require.Less(t, mib, 100.0, unit)
	}
}
