package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFailedInjectionIsTriedAgainAfterAPause(t *testing.T) {
	t.Parallel()
	p := newDesk(t).serving(t, nil, "--daemon-mode", "host", "--daemon-path", "/nonexistent/daytona")
	p.expect(422, "daemon.path", "GET", "/proxy/8080/", "")
	tries := func() int { return strings.Count(p.stderr.String(), "injection failed") }
	p.eventually("it is tried again", func() bool { return tries() >= 2 })
	require.Less(t, tries(), 20, "it is tried without a pause")
}

func TestVersionsAreShort(t *testing.T) {
	t.Parallel()
	for module, want := range map[string]string{
		"": "devel", "(devel)": "devel", "v1.2.3": "v1.2.3", "v1.2.3-rc.1": "v1.2.3-rc.1", "v1.2.3+dirty": "v1.2.3+dirty",
		"v0.0.0-20261125022030-58cb0d995172":        "devel-58cb0d9",
		"v1.2.4-0.20261125022030-58cb0d995172":      "devel-58cb0d9",
		"v0.0.0-20261125022030-58cb0d995172+dirty":  "devel-58cb0d9+dirty",
		"v1.2.3-rc.1.0.20261125022030-58cb0d995172": "devel-58cb0d9",
	} {
		require.Equal(t, want, shortVersion(module), module)
	}
}
