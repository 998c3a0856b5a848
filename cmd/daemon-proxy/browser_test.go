package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// pageWithin bounds what a page does on a busy machine.
const pageWithin = 60 * time.Second

// oneBrowser lets one test at a time have a browser: they are what costs most.
var oneBrowser sync.Mutex

// browser is a headless Chromium of its own profile with one page open.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests map[network.RequestID]string // under way
	failed   []string                     // requests without an answer, answers of 400 and up, uncaught errors
	dropped  bool                         // Chromium dropped a request by itself, see networkChanged
}

// networkChanged is how Chromium ends what it loads when an address of the
// machine comes or goes, as those of containers do. No server can cause it, so
// the page is then loaded again.
const networkChanged = "net::ERR_NETWORK_CHANGED"

// newBrowser starts a browser, for which each name under example is this machine. Without Chromium the test is skipped, or fails
// where CI=true.
func newBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	path := wiretest.Program(t, "chromium")
	oneBrowser.Lock()
	t.Cleanup(oneBrowser.Unlock)
	profile := t.TempDir()
	allocator, end := chromedp.NewExecAllocator(context.Background(), append(more,
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WSURLReadTimeout(pageWithin),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-renderer-backgrounding", true), chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900),
	)...)
	ctx, closeAll := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the browser in good order, so that its profile can be removed
		closeAll()
		end()
	})
	b := &browser{t: t, ctx: ctx, requests: map[network.RequestID]string{}}
	require.NoError(t, chromedp.Listen(ctx, b.hear), "start %s", path)
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	return b
}

// hear notes what went wrong in the page.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests[e.RequestID] = e.Request.Method + " " + e.Request.URL
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			b.failed = append(b.failed, fmt.Sprintf("%s: %d", b.requests[e.RequestID], e.Response.Status))
		}
	case *network.EventLoadingFinished:
		delete(b.requests, e.RequestID)
	case *network.EventLoadingFailed:
		if e.ErrorText == networkChanged {
			b.dropped = true
		} else if !e.Canceled {
			b.failed = append(b.failed, b.requests[e.RequestID]+": "+e.ErrorText+" "+string(e.BlockedReason))
		}
		delete(b.requests, e.RequestID)
	case *runtime.EventExceptionThrown:
		b.failed = append(b.failed, uncaught(e.ExceptionDetails))
	}
}

// failures are what went wrong since the last call.
func (b *browser) failures() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	failed := b.failed
	b.failed = nil
	return failed
}

// reload loads the page again if Chromium dropped something of it, and forgets
// what went wrong for that.
func (b *browser) reload() {
	b.mu.Lock()
	dropped := b.dropped
	if dropped {
		b.dropped, b.failed = false, nil
	}
	b.mu.Unlock()
	if dropped {
		b.t.Log("the network changed: the page is loaded again")
		ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
		defer cancel()
		_, _ = chromedp.Run(ctx, chromedp.Reload()) // may be dropped again
	}
}

// waiting are the requests that have no whole answer yet.
func (b *browser) waiting() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Values(b.requests))
}

// do runs actions within a time.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	act(b, what, chromedp.Steps(actions...))
}

// act is the value of an action.
func act[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.screenshot("failed")
	}
	require.NoError(b.t, err, "%s; went wrong: %q", what, b.failures())
	return value
}

// open navigates and waits for the page's load event.
func (b *browser) open(url string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Navigate(url))
	for err != nil && strings.Contains(err.Error(), networkChanged) && ctx.Err() == nil {
		b.t.Log("the network changed: the page is opened again")
		_, err = chromedp.Run(ctx, chromedp.Navigate(url))
	}
	if err != nil {
		b.screenshot("failed")
	}
	require.NoError(b.t, err, "open %s; went wrong: %q", url, b.failures())
}

// eval is the value of a JavaScript expression, awaited if it is a promise.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return act(b, "evaluate "+expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits until an expression is true in the page.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	if !b.within(pageWithin, expression) {
		b.screenshot("failed")
		waiting, failures := b.waiting(), b.failures()
		require.FailNow(b.t, what, "never true: %s; went wrong: %q; still waits for: %q; %s says: %s", expression, failures, waiting,
			eval[string](b, "location.href"), eval[string](b, "document.documentElement.innerText"))
	}
}

// within reports whether an expression becomes true in the page in that time.
func (b *browser) within(limit time.Duration, expression string) bool {
	ok := func() bool {
		b.reload()
		ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
		defer cancel()
		value, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")", chromedp.EvalAwaitPromise))
		return err == nil && value
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * look)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

// screenshot keeps a picture of the page under .artifacts/ and returns its path.
func (b *browser) screenshot(name string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageWithin)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("no screenshot: %v", err)
		return ""
	}
	dir := filepath.Join("..", "..", ".artifacts")
	require.NoError(b.t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png")
	require.NoError(b.t, os.WriteFile(file, picture, 0o644))
	return file
}

func uncaught(e *runtime.ExceptionDetails) string {
	if e.Exception != nil && e.Exception.Description != "" {
		return "uncaught: " + e.Exception.Description
	}
	return "uncaught: " + e.Text
}
