package server

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// People, from the first run of the app to its refusal, with a mouse.
func TestChromiumTakesAccessAway(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := openTab(t, set)
	b.signIn()
	const run, served, refused, done, sure = `[data-test=run-app]`, `[data-run-ok=true]`, `[data-run-ok=false]`, `[data-notice=done]`, `[data-sure]`
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(selector) }
	seen := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(selector) }
	// The page from which the app is run shows a result, too: that of the run before.
	runs := func(result string) {
		t.Helper()
		b.do("run the app", chromedp.SetAttributeValue("main", "data-before", ""), click(run), seen("main:not([data-before]) "+result))
	}

	b.do("go to the sessions", click(`.nav a[href="/users"]`), seen(`[data-user=alice]`), click(`.tabs a[href="/sessions"]`), seen(`.tabs a[href="/sessions"][aria-current=page]`))
	runs(served)
	b.do("see that it has signed in", seen(`[data-session=SESSION1]`))
	// Running it may have left a notice, too: that the phone was put on the stage.
	b.do("end the session", click(`[data-end-session=SESSION1]`), seen(sure), click(sure), seen(done), chromedp.WaitNotPresent(`[data-session=SESSION1]`))
	runs(refused)
	runs(served)
	b.do("see that it has signed in again", seen(`[data-session=SESSION2]`))
	b.do("end all sessions", click(`.tabs a[href="/users"]`), seen(`[data-user=alice][data-sessions="1"]`),
		click(`[data-end-sessions=alice]`), seen(sure), click(sure), seen(`[data-user=alice][data-sessions="0"]`))
	runs(refused)
	b.do("ban the device", b.open("/devices?stage=user-session"), click(`[data-ban=DEVICE1]`), seen(`[data-device=DEVICE1][data-banned=true]`), seen(done))
	b.do("take it back", click(`[data-undo]`), seen(`[data-device=DEVICE1][data-banned=false]`))
	b.do("choose it to be banned", click(`[data-choose=DEVICE1]`), click(`[data-ban-chosen]`), seen(sure), click(sure), seen(`[data-device=DEVICE1][data-banned=true]`))
	runs(refused)
	b.do("allow it", click(`[data-allow=DEVICE1]`), seen(`[data-device=DEVICE1][data-banned=false]`), seen(done))
	runs(served)
	b.do("rotate the secret", b.open("/apps"), click(`[data-secret=harbour-mobile]`), seen(`[data-rotate-secret=harbour-mobile]`),
		click(`[data-rotate-secret=harbour-mobile]`), seen(done))
	runs(refused)

	populate(set)
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 400, Height: 800, DeviceScaleFactor: 1, Mobile: true})
	crowd(set, 90)
	for _, path := range []string{"/users", "/sessions", "/sessions?by=all&page=2", "/devices", "/devices/remove?all=1", "/audit", "/keys/harbour-mobile/secret", "/apps", "/apps/quayside-books"} {
		b.do("open "+path, b.open(path), seen("h1"))
		if width := evaluate[int](b, "document.documentElement.scrollWidth"); width > 400 {
			t.Errorf("%s is %d wide", path, width)
		}
	}
}
