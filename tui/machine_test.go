//go:build unix

package tui

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// script puts a program into dir.
func script(t *testing.T, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return path
}

func vars(pairs ...string) func(string) string {
	all := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return all[name] }
}

func noClipboard(string) error { return errors.New("no clipboard") }

// osc52Of is the sequence that carries s.
func osc52Of(s string) string {
	return "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(s)) + "\x07"
}

func TestInTmuxItsServerIsGivenACopy(t *testing.T) { // not parallel: it changes PATH
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	script(t, dir, "tmux", `echo "$@" > `+taken+`; cat >> `+taken)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	var out strings.Builder
	require.NoError(t, copyTo(&out, noClipboard, "a URL", vars("TMUX", "/tmp/tmux,1,0")))
	got, err := os.ReadFile(taken)
	require.NoError(t, err)
	require.Equal(t, "load-buffer -w -\na URL", string(got))
	require.Equal(t, "\x1bPtmux;\x1b"+osc52Of("a URL")+"\x1b\\", out.String())

	script(t, dir, "tmux", "exit 1")
	out.Reset()
	require.NoError(t, copyTo(&out, noClipboard, "a URL", vars("TMUX", "/tmp/tmux,1,0")))
	require.True(t, strings.HasSuffix(out.String(), "\x1b\\"+osc52Of("a URL")), "an old tmux may take the plain sequence: %q", out.String())
}

func TestACopyThatNobodyTookIsAnError(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", mostCopied+1)
	var out strings.Builder
	require.NoError(t, copyTo(&out, noClipboard, long[1:], vars()))
	require.Equal(t, osc52Of(long[1:]), out.String())
	out.Reset()
	require.ErrorIs(t, copyTo(&out, noClipboard, long, vars()), errTooLong)
	require.Empty(t, out.String())
	var taken string
	require.NoError(t, copyTo(&out, func(s string) error { taken = s; return nil }, long, vars()))
	require.Equal(t, long, taken)

	s := loaded(t, newFake(), 120, 40, func(o *Options) {
		o.Copy = func(string) error { return errTooLong }
		o.Keys = map[string]string{"save-bodies": "B"}
	})
	s.press("2")
	s.shows("/app/0.js")
	s.press("c")
	s.shows("copy: no clipboard of this machine took it", "try: B in the inspector saves the bodies")
}

func TestAClipboardThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		hangs := func(string) error { <-release; return nil }
		var out strings.Builder
		begun := time.Now()
		require.NoError(t, copyTo(&out, hangs, "a URL", vars()), "the terminal took it")
		require.ErrorIs(t, copyTo(&out, hangs, strings.Repeat("x", mostCopied+1), vars()), errTooLong)
		require.Equal(t, 2*clipboardWaits, time.Since(begun))
	})
}

func TestABrowserThatRunsOnHasOpenedThePage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crash := make(chan struct{})
		m := still(t, 120, 40, newFake(), func(o *Options) {
			o.Browse = func(string) error { <-crash; return errors.New("it crashed") }
		})
		begun := time.Now()
		msg := m.open("http://x/", "x")()
		require.Equal(t, openedMsg{"http://x/", "x", nil}, msg)
		require.Equal(t, browserWaits, time.Since(begun))
		close(crash)
		synctest.Wait() // the error of later goes nowhere
	})
}

func TestTheBrowserOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	one := script(t, dir, "one", `echo one "$@" > `+taken+`.new; mv `+taken+`.new `+taken)
	none := filepath.Join(dir, "none")
	for browsers, want := range map[string]string{
		one:                                     "one http://x/?a=1&b=2",
		none + "::" + one + " -new:" + none:     "one -new http://x/?a=1&b=2",
		one + " --url=%s -private:" + none:      "one --url=http://x/?a=1&b=2 -private",
		none + " %s:" + one + " open %s then -": "one open http://x/?a=1&b=2 then -",
	} {
		_ = os.Remove(taken)
		require.NoError(t, systemBrowser(vars("BROWSER", browsers))("http://x/?a=1&b=2"), browsers)
		require.Eventually(t, func() bool { _, err := os.Stat(taken); return err == nil }, soon, time.Millisecond, browsers)
		got, err := os.ReadFile(taken)
		require.NoError(t, err)
		require.Equal(t, want+"\n", string(got), browsers)
	}
	err := systemBrowser(vars("BROWSER", none+":"+none+" %s"))("http://x/")
	require.NotErrorIs(t, err, errNoBrowser, "there is one, and it is wrong")
	require.ErrorContains(t, err, "$BROWSER: ")
	require.ErrorContains(t, err, none)
	require.ErrorIs(t, systemBrowser(vars("BROWSER", ":"))("http://x/"), errNoBrowser)
}

func TestWhyABrowserDidNotOpenIsSaidAndLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := loaded(t, newFake(), 80, 24, func(o *Options) {
		o.Browse = systemBrowser(vars("BROWSER", "no-such-browser-here"))
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.press("o")
	s.shows("The browser did not open: $BROWSER: ", "executable file not found", "http://k3v9aaaabbbb.localhost:8080/")
	s.until("it is copied", func() bool { return len(s.copied.get()) == 1 })
	require.NotContains(t, s.text(), "There is no browser")
	require.Contains(t, log.String(), "executable file not found")
}
