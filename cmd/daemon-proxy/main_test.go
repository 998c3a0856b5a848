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
