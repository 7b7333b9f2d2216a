package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Browser is a tab in a fresh headless Chromium, for chromedp. It ends with the test,
// after five minutes at the latest. In short runs the test is skipped, as [InSequence] says;
// [BrowserAlways] is for tests in which pages meet others at the same time.
func Browser(t testing.TB) context.Context {
	t.Helper()
	InSequence(t)
	return BrowserAlways(t)
}

// BrowserAlways is [Browser] in short runs, too.
func BrowserAlways(t testing.TB) context.Context {
	t.Helper()
	return BrowserFor(t, 5*time.Minute)
}

// BrowserFor is [BrowserAlways] for tests that need it longer.
func BrowserFor(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(Program(t, "chromium", "chromium-browser", "google-chrome")),
		chromedp.WindowSize(1280, 900),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}
