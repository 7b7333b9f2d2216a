package server

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"keyladder/stages/catalog"
)

// A provider is added and made stricter, and a family of tokens is ended, with a mouse; on a wide
// screen and on a narrow one.
func TestChromiumMediates(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := openTab(t, set)
	b.signIn()
	seen := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(selector) }
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(selector) }
	typed := func(field, text string) chromedp.Action[chromedp.Void] {
		return chromedp.SendKeys("#"+field, text)
	}
	b.do("open the providers", click(`.nav a[href="/mediator/providers"]`), seen(`[data-provider=lite]`), click("#add summary"), seen("#name"))
	b.do("describe one, with a mistake", typed("name", "third"), typed("title", "Third Party"), typed("issuer", "https://third.example"), typed("authorization_url", "https://third.example/auth"),
		typed("token_url", "http://third.example/token"), typed("client_id", "mediator"), typed("secret", "a secret"), chromedp.SetValue("#pkce", "none"), chromedp.SetValue("#client_auth", "client_secret_post"),
		click("#add button[type=submit]"), seen("#form-failure"))
	if !b.inSight("#form-failure") || !evaluate[bool](b, `document.querySelector("#token_url").matches("[aria-invalid=true]") && document.querySelector("#secret").value === "" && document.querySelector("#pkce").value === "none"`) {
		t.Error("the mistake is not marked, or what was typed is not as it was")
	}
	b.do("mend it", chromedp.SetValue("#token_url", "https://third.example/token"), typed("secret", "a secret"), click("#add button[type=submit]"), seen(`[data-provider=third][data-pkce=none]`), seen("[data-notice=done]"))
	b.do("turn on PKCE", click("[data-stricter=pkce]"), seen(`[data-provider=third][data-pkce=S256]`))
	b.do("move to Basic", click("[data-stricter=client_auth]"), seen(`[data-provider=third][data-client-auth=client_secret_basic]`))
	b.do("take that back", click("[data-undo]"), seen(`[data-provider=third][data-client-auth=client_secret_post]`))
	b.do("disable it", click("[data-disable]"), seen("[data-sure]"), click("[data-sure]"), seen(`[data-provider=third][data-enabled=false]`))
	if got := set.mediate.latest("third"); got.PKCE != catalog.S256PKCE || got.Version != 5 {
		t.Errorf("%+v", got)
	}
	b.do("see somebody sign in", b.open("/mediator/sessions"), seen(".live.on"))
	set.mediate.signIn()
	b.do("see it", seen("[data-sign-in=SIGNIN1]"))
	b.do("open it and end it", click("[data-sign-in=SIGNIN1] th a"), seen("[data-token=MT1]"), click("[data-end-sign-in]"), seen("[data-sure]"), click("[data-sure]"), seen("[data-ended=true]"), seen("[data-notice=done]"))
	for _, width := range []int64{400, 1280} {
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 500})
		for _, path := range []string{"/providers", "/providers/third", "/sessions?state=any", "/sessions/SIGNIN1", "/tokens"} {
			b.do("open "+path, b.open("/mediator"+path), seen("h1"))
			if wide := evaluate[int64](b, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s is %d wide in a window of %d", path, wide, width)
			}
		}
	}
}
