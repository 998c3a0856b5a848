package tui

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// unwell is a desk whose way to my-sandbox loses something and then breaks.
func unwell() *fake {
	f := newFake()
	f.findings = []api.Finding{
		{Hop: "core", State: api.FoundOK, Detail: "daemon-proxy v0.1.0, protocol 1.0, without a configuration file", DurationMS: 0.02},
		{Hop: "engine", State: api.FoundOK, Detail: "default 28.5 at unix:///var/run/docker.sock lists its containers", DurationMS: 2.5},
		{Hop: "carrier", State: api.FoundSkipped, Detail: "none is needed"},
		{Hop: "port", State: api.FoundLoss, DurationMS: 1863, Lost: []string{"request trailers (they do not arrive)"},
			Detail: "kept: methods, path bytes, headers, response trailers, WebSocket, event streams, 64 MiB up, 64 MiB down " +
				"(140 MB/s up, 595 MB/s down)", Hint: "it is lost at this hop; please report it"},
		{Hop: "front", State: api.FoundFailed, Detail: "the self-test page does not answer: \x1b[31mno", DurationMS: 12,
			Hint: "see the log of daemon-proxy"},
		{State: api.FoundFailed, Detail: "the way is broken at the hop that failed", Finished: true},
	}
	return f
}

func (s *screen) checkUp() {
	s.t.Helper()
	s.press("C")
	s.until("it is complete", func() bool { return strings.Contains(s.text(), "the way is broken") })
}

func TestADiagnosisIsAsDrawn(t *testing.T) {
	t.Parallel()
	drawn(t, "doctor", "80x24-ascii 120x30 120x30-mono", unwell, (*screen).checkUp)
}

func TestADiagnosisScrollsAndCloses(t *testing.T) {
	t.Parallel()
	s := loaded(t, unwell(), 80, 15, nil)
	s.checkUp()
	s.hides("protocol 1.0")
	s.press("g")
	s.shows("protocol 1.0")
	s.hides("the way is broken")
	s.press("esc")
	s.nothingOver()
	require.Equal(t, []string{"Diagnose my-sandbox"}, s.f.calls("Diagnose"))
}

// What comes is shown as it comes, and closing the screen ends the diagnosis.
func TestADiagnosisEndsWithItsScreen(t *testing.T) {
	t.Parallel()
	inProcess(t, "the end of a call is seen at once")
	f := unwell()
	ended := make(chan struct{})
	f.working = func(ctx context.Context) { <-ctx.Done(); close(ended) }
	s := loaded(t, f, 120, 30, nil)
	s.press("C")
	s.until("all but the last are there", func() bool { return strings.Contains(s.text(), "does not answer") })
	s.shows("checking")
	s.press("esc")
	s.nothingOver()
	<-ended
}
