package tui

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/system"
)

func TestABrowserThatRunsOnHasOpenedThePage(t *testing.T) {
	t.Parallel()
	inProcess(t, "the clock is made up")
	synctest.Test(t, func(t *testing.T) {
		crash := make(chan struct{})
		m := still(t, 120, 40, newFake(), func(o *Options) {
			o.Browse = func(string) error { <-crash; return errors.New("it crashed") }
		})
		begun := time.Now()
		msg := m.open("http://x/", "x")()
		require.Equal(t, openedMsg{"http://x/", "x", nil}, msg)
		require.Equal(t, system.BrowserTimeout, time.Since(begun))
		close(crash)
		synctest.Wait() // the error of later goes nowhere
	})
}

func TestWhyABrowserDidNotOpenIsSaidAndLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := loaded(t, newFake(), 80, 24, func(o *Options) {
		o.Browse = system.Browser(func(string) string { return "no-such-browser-here" })
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.press("o")
	s.shows("The browser did not open: $BROWSER: ", "executable file not found", "http://k3v9aaaabbbb.localhost:8080/")
	s.until("it is copied", func() bool { return len(s.copied.get()) == 1 })
	require.NotContains(t, s.text(), "There is no browser")
	require.Contains(t, log.String(), "executable file not found")
}

func TestACopyThatIsTooLongSaysWhatElseThereIs(t *testing.T) {
	t.Parallel()
	inProcess(t, "the server makes the command")
	s := loaded(t, newFake(), 120, 40, func(o *Options) {
		o.Copy = func(string) error { return system.ErrTooLong }
		o.Keys = map[string]string{"save-bodies": "B"}
	})
	s.press("2")
	s.shows("/app/0.js")
	s.press("c")
	s.shows("copy: no clipboard of this machine took it", "try: B in the inspector saves the bodies")
}
