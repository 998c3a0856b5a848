//go:build unix

package system

import (
	"encoding/base64"
	"errors"
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
	require.NoError(t, Copy(&out, noClipboard, "a URL", vars("TMUX", "/tmp/tmux,1,0")))
	got, err := os.ReadFile(taken)
	require.NoError(t, err)
	require.Equal(t, "load-buffer -w -\na URL", string(got))
	require.Equal(t, "\x1bPtmux;\x1b"+osc52Of("a URL")+"\x1b\\", out.String())

	script(t, dir, "tmux", "exit 1")
	out.Reset()
	require.NoError(t, Copy(&out, noClipboard, "a URL", vars("TMUX", "/tmp/tmux,1,0")))
	require.True(t, strings.HasSuffix(out.String(), "\x1b\\"+osc52Of("a URL")),
		"an old tmux may take the plain sequence: %q", out.String())
}

func TestACopyThatNobodyTookIsAnError(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxCopied+1)
	var out strings.Builder
	require.NoError(t, Copy(&out, noClipboard, long[1:], vars()))
	require.Equal(t, osc52Of(long[1:]), out.String())
	out.Reset()
	require.ErrorIs(t, Copy(&out, noClipboard, long, vars()), ErrTooLong)
	require.Empty(t, out.String())
	var taken string
	require.NoError(t, Copy(&out, func(s string) error { taken = s; return nil }, long, vars()))
	require.Equal(t, long, taken)
}

func TestAClipboardThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		hangs := func(string) error { <-release; return nil }
		var out strings.Builder
		begun := time.Now()
		require.NoError(t, Copy(&out, hangs, "a URL", vars()), "the terminal took it")
		require.ErrorIs(t, Copy(&out, hangs, strings.Repeat("x", maxCopied+1), vars()), ErrTooLong)
		require.Equal(t, 2*clipboardTimeout, time.Since(begun))
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
		require.NoError(t, Browser(vars("BROWSER", browsers))("http://x/?a=1&b=2"), browsers)
		require.Eventually(t, func() bool { _, err := os.Stat(taken); return err == nil }, 10*time.Second,
			time.Millisecond, browsers)
		got, err := os.ReadFile(taken)
		require.NoError(t, err)
		require.Equal(t, want+"\n", string(got), browsers)
	}
	err := Browser(vars("BROWSER", none+":"+none+" %s"))("http://x/")
	require.NotErrorIs(t, err, ErrNoBrowser, "there is one, and it is wrong")
	require.ErrorContains(t, err, "$BROWSER: ")
	require.ErrorContains(t, err, none)
	require.ErrorIs(t, Browser(vars("BROWSER", ":"))("http://x/"), ErrNoBrowser)
}
