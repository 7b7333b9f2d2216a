package lab_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/lab"
)

// An admin signs in, walks the stages, runs an attack and sees its outcome, revokes the
// app's key and sees the refusal, and restores it.
func TestAdminInTheBrowser(t *testing.T) {
	t.Parallel()
	tab := testenv.Browser(t)
	const password = "a password for this test"
	l := start(t, lab.Options{Screens: true, AdminPassword: password})
	do := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(tab, actions...); err != nil {
			saveScreen(t, tab)
			t.Fatalf("%s: %v", what, err)
		}
	}
	seen := func(selector string) chromedp.Action[chromedp.Void] {
		return chromedp.WaitVisible(selector)
	}
	click := func(selector string) chromedp.Action[chromedp.Void] {
		return chromedp.Click(selector)
	}

	do("sign in",
		chromedp.Navigate(l.AdminURL),
		chromedp.SendKeys(`input[type=password]`, password),
		click(`#sign-in button[type=submit]`),
		seen(`[data-stage="app-id"]`))

	for _, stage := range catalog.All().Built() {
		do("walk to "+stage.Slug,
			chromedp.Navigate(l.AdminURL+"/stages/"+stage.Slug),
			click(`[data-test=run-app]`),
			seen(fmt.Sprintf(`[data-run-stage="%s"][data-run-ok=true]`, stage.Slug)))
	}

	do("attack",
		chromedp.Navigate(l.AdminURL+"/stages/pinned-mtls"),
		click(`button[data-attack=trusted-proxy]`),
		seen(`[data-outcome=blocked]`))
	do("look at the attack",
		chromedp.Navigate(l.AdminURL+"/matrix/pinned-mtls/trusted-proxy"),
		seen(`[data-outcome=blocked]`), seen(`[data-check=pins]`), seen(`[data-test=steps]`))

	do("revoke",
		chromedp.Navigate(l.AdminURL+"/apps"),
		click(`button[data-revoke=harbour-mobile]`),
		seen(`[data-key=harbour-mobile][data-revoked=true]`))
	revoked := time.Now()
	do("see the refusal", click(`[data-test=run-app]`), seen(`[data-run-ok=false]`))
	// That the first call afterwards is refused, whenever it comes, is more than asked:
	// it has a second.
	t.Logf("refused %v after the page showed the key as revoked", time.Since(revoked))
	do("restore",
		chromedp.Navigate(l.AdminURL+"/apps"),
		click(`button[data-restore=harbour-mobile]`),
		seen(`[data-key=harbour-mobile][data-revoked=false]`),
		click(`[data-test=run-app]`),
		seen(`[data-run-ok=true]`))
}

// saveScreen keeps what the browser shows, for whoever looks into a failure.
func saveScreen(t *testing.T, tab context.Context) {
	t.Helper()
	picture, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Logf("no picture of the page: %v", err)
		return
	}
	file := filepath.Join(os.TempDir(), "keyladder-"+t.Name()+".png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Log(err)
		return
	}
	t.Logf("the page is in %s", file)
}
