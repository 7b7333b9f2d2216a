package lab_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

// takingTokens is the first stage that takes access tokens.
func takingTokens(t *testing.T) catalog.Stage {
	t.Helper()
	for _, stage := range catalog.All().Built() {
		if stage.Call.UserProof == catalog.AccessToken {
			return stage
		}
	}
	t.Fatal("no stage takes access tokens")
	return catalog.Stage{}
}

// read is a value of the page.
func read[T any](a *admin, script string) T {
	a.t.Helper()
	value, err := chromedp.Run(a.tab, chromedp.Evaluate[T](script))
	if err != nil {
		a.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// tokenInTraffic has the app run at a stage, and opens a message with the token that it was
// given.
func (a *admin) tokenInTraffic(stage string) {
	a.t.Helper()
	a.do("run the app", a.page("/stages/"+stage+"/try"), click(`[data-test=run-app]`), seen(`[data-run-ok=true]`))
	a.do("look at the traffic", a.page("/traffic?stage="+stage), seen(".heard.server"))
	path := read[string](a, fmt.Sprintf(`[...document.querySelectorAll(".heard.server a")].find((a) => a.textContent.includes("GET /%s/v1/accounts")).getAttribute("href")`, stage))
	a.do("open the message", a.page(path), seen("[data-test=take-apart]"))
}

// A token out of the traffic is taken apart, and served when it is sent. Once a claim is
// changed, it is refused, whatever it is signed with. So is the document's own token.
func TestTokensAreTakenApartInTheBrowser(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	stage := takingTokens(t).Slug
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	a := signIn(t, l)
	a.tokenInTraffic(stage)
	a.do("take it apart", click("[data-test=take-apart]"), seen(`[data-test=examined][data-refused-by=""]`), seen(`[data-finding=revoked][data-passed=true]`))
	token := read[string](a, `document.querySelector("#token").value`)
	a.do("paste it", a.page("/take-apart"), chromedp.SendKeys("#token", "Authorization: Bearer "+token), chromedp.SetValue("#stage", stage),
		click("[data-test=examine]"), seen(`[data-test=examined][data-refused-by=""]`))
	a.do("send it", click("[data-test=send]"), seen(`[data-test=sent][data-status="200"] .verdict.pass`))
	a.do("see the call", click("[data-test=message]"), seen(".verdict.pass"))

	for name, test := range map[string]struct{ choose, check string }{
		"the old signature": {"keep", "signature"},
		"no signature":      {"none", "algorithm"},
		"a key of mine":     {"own", "signature"},
	} {
		a.do("paste it again", a.page("/take-apart"), chromedp.SetValue("#token", token), chromedp.SetValue("#stage", stage),
			click("[data-test=examine]"), seen("[data-test=change]"))
		claims := read[string](a, `document.querySelector("#claims").value`)
		changed := strings.Replace(claims, `"alice"`, `"bob"`, 1)
		if changed == claims {
			t.Fatalf("the token is not alice's: %s", claims)
		}
		a.do("change it: "+name, chromedp.SetValue("#claims", changed), click("[name=signature][value="+test.choose+"]"), chromedp.SendKeys("#secret", "a secret of my own"),
			click("[data-test=make]"), seen(`[data-test=examined][data-refused-by=`+test.check+`]`))
		a.do("send it: "+name, click("[data-test=send]"), seen(`[data-test=sent][data-status="401"] [data-check=access-token]`))
	}
	a.do("the document's own", a.page("/take-apart"), click("[data-test=document]"), seen(`[data-test=examined][data-refused-by=header]`),
		click("[data-test=send]"), seen(`[data-test=sent][data-status="401"] [data-check=access-token]`))

	if list, err := manage.Tokens(t.Context(), l.Resource, manage.TokenQuery{TokenFilter: manage.TokenFilter{Stage: stage}}); err != nil || list.Total == 0 {
		t.Fatalf("%+v, %v", list, err)
	} else if err := l.Resource.Do(t.Context(), "POST", "/tokens/revoke", manage.TokenSelection{All: true}, nil); err != nil {
		t.Fatal(err)
	}
	a.do("once it is revoked", a.page("/take-apart"), chromedp.SetValue("#token", token), chromedp.SetValue("#stage", stage),
		click("[data-test=send]"), seen(`[data-test=sent][data-status="401"] [data-check=revoked]`), seen(`[data-test=examined][data-refused-by=revoked]`))
}

// What was done with a token stays done after it was revoked, and stays listed. Where the check
// for revoked tokens is switched off, such a one goes on working.
func TestRevocationUndoesNothingInTheBrowser(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	stage := takingTokens(t).Slug
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	a := signIn(t, l)
	balance := func() int64 {
		t.Helper()
		ledger, err := l.Resource.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range ledger.Accounts {
			if account.ID == catalog.AliceAccount {
				return account.Balance
			}
		}
		t.Fatal("alice has no account")
		return 0
	}
	before := balance()
	a.tokenInTraffic(stage)
	after := balance()
	if after != before-100 {
		t.Fatalf("the app has paid %d", before-after)
	}
	a.do("take the token", click("[data-test=take-apart]"), seen(`[data-test=examined][data-refused-by=""]`))
	token := read[string](a, `document.querySelector("#token").value`)
	send := func(what string, status int, wanted string) {
		t.Helper()
		a.do(what, a.page("/take-apart"), chromedp.SetValue("#token", token), chromedp.SetValue("#stage", stage),
			click("[data-test=send]"), seen(fmt.Sprintf(`[data-test=sent][data-status="%d"] %s`, status, wanted)))
	}

	done := []chromedp.Action[chromedp.Void]{seen(`[data-route="GET /v1/accounts"]`), seen(`[data-route="POST /v1/transfers"] [data-did^="paid EUR 1.00 from HB-1001"]`)}
	a.do("open the token", append([]chromedp.Action[chromedp.Void]{a.page("/tokens?stage=" + stage), click("[data-token] th a")}, done...)...)
	a.do("revoke it", click("[data-revoke-token]"), click("[data-sure]"), seen("[data-revoked=true]"), seen("[data-test=revoked]"))
	a.do("see what was done", done...)
	send("once it is revoked", 401, "[data-check=revoked]")
	if now := balance(); now != after {
		t.Errorf("the revocation has moved %d", now-after)
	}

	a.do("switch the check off", a.page("/tokens"), click("[data-switch-off]"), click("[data-sure]"), seen(`[data-revoked-served="`+stage+`"]`))
	send("while nobody looks", 200, ".verdict.pass")
	a.do("see it warned of", a.page("/stages/"+stage+"/try"), seen(`[data-revoked-served="`+stage+`"]`))
	a.do("see what was done since", a.page("/tokens?state=revoked"), click("[data-token] th a"), seen("[data-test=after]"))
	a.do("switch it on", a.page("/tokens"), click("[data-switch-on]"), chromedp.WaitNotPresent("[data-revoked-served]"))
	send("while everybody looks", 401, "[data-check=revoked]")
}
