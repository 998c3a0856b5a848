// Package system opens a browser and copies to the clipboards.
package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/atotto/clipboard"
	"github.com/aymanbagabas/go-osc52/v2"
	"github.com/pkg/browser"

	"daemon-proxy/tui/format"
)

// ErrNoBrowser is returned if there is no browser.
var ErrNoBrowser = errors.New("no browser")

// Browser opens pages with $BROWSER, else with the desktop's browser. Without a
// desktop it does not use xdg-open, which would start a browser in the terminal.
func Browser(env func(string) string) func(url string) error {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return func(url string) error {
		if chosen := env("BROWSER"); chosen != "" {
			return openWith(chosen, url)
		}
		if runtime.GOOS == "linux" && env("DISPLAY") == "" && env("WAYLAND_DISPLAY") == "" &&
			env("WSL_DISTRO_NAME") == "" {
			return ErrNoBrowser
		}
		return browser.OpenURL(url)
	}
}

// openWith tries the commands of $BROWSER, which are separated by colons; %s is
// replaced by the URL.
func openWith(chosen, url string) error {
	var errs []error
	for one := range strings.SplitSeq(chosen, ":") {
		fields := strings.Fields(one)
		if len(fields) == 0 {
			continue
		}
		placed := false
		for i := range fields {
			if strings.Contains(fields[i], "%s") {
				fields[i], placed = strings.ReplaceAll(fields[i], "%s", url), true
			}
		}
		if !placed {
			fields = append(fields, url)
		}
		// The page outlives the command and the program, so no context ends it.
		cmd := exec.Command(fields[0], fields[1:]...) //nolint:gosec,noctx // the user's own $BROWSER
		err := cmd.Start()
		if err == nil {
			go func() { _ = cmd.Wait() }() // so that it leaves no zombie
			return nil
		}
		errs = append(errs, fmt.Errorf("$BROWSER: %w", err))
	}
	if errs == nil { // it has no command
		return ErrNoBrowser
	}
	return errors.Join(errs...)
}

// maxCopied is how much terminals accept with OSC 52.
const maxCopied = 74_994

// ErrTooLong is returned for a text that no clipboard accepts.
var ErrTooLong = errors.New("no clipboard of this machine took it, and terminals take " + format.Size(maxCopied) +
	" at most")

// Timeouts of other programs: in total two seconds at most, even in tmux.
const (
	BrowserTimeout   = 2 * time.Second
	clipboardTimeout = time.Second
)

// Briefly runs f and returns late if f takes longer than d; the result of f is
// then dropped.
func Briefly(d time.Duration, late error, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		return late
	}
}

// Clipboard copies s to the clipboard of this machine, if it has one.
func Clipboard(s string) error {
	if clipboard.Unsupported {
		return errors.New("no clipboard")
	}
	return clipboard.WriteAll(s)
}

// toTmux passes s to the tmux server, which passes it to the outer terminal: by
// default, tmux ignores the sequence for the clipboard from a program.
func toTmux(s string) error {
	ctx, cancel := context.WithTimeout(context.Background(), clipboardTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", "load-buffer", "-w", "-")
	cmd.Stdin = strings.NewReader(s)
	return cmd.Run()
}

// Copy copies s to the clipboard of the terminal, which may be remote, and to that
// of this machine.
func Copy(terminal io.Writer, machine func(string) error, s string, env func(string) string) error {
	seq := osc52.New(s).Limit(maxCopied)
	switch {
	case env("TMUX") != "":
		seq = seq.Tmux()
	case strings.HasPrefix(env("TERM"), "screen"):
		seq = seq.Screen()
	}
	_, err := io.WriteString(terminal, seq.String())
	if env("TMUX") != "" {
		if toTmux(s) != nil { // tmux is too old or cannot be run: it may accept the plain sequence
			_, err = io.WriteString(terminal, osc52.New(s).Limit(maxCopied).String())
		}
	}
	if err == nil && len(s) > maxCopied {
		err = ErrTooLong
	}
	if Briefly(clipboardTimeout, ErrTooLong, func() error { return machine(s) }) == nil {
		return nil
	}
	return err
}
