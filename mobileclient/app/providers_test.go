package main

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// chosenStage is the first at which users choose a provider in the app.
func chosenStage(t *testing.T) catalog.Stage {
	t.Helper()
	built := catalog.All().Built()
	i := slices.IndexFunc(built, func(s catalog.Stage) bool { return s.Call.Providers == catalog.ChosenInApp })
	if i < 0 {
		t.Skip("at no stage users choose a provider in the app")
	}
	return built[i]
}

// TestAnotherProvider: the app signs its user in at another company's authorization server, keeps to it
// when tokens are renewed and revoked, and is refused within a second when a token is revoked there.
func TestAnotherProvider(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	stage := chosenStage(t)
	bank := testbank.Start(t, testbank.Options{})
	b := newBenchAt(t, bank)
	app := b.launch(t, stage.Slug)
	alice := person.Person{Name: "alice", Password: bank.Passwords["alice"], Provider: catalog.Lite}
	enter := func() {
		t.Helper()
		if screen := shown(t)(alice.SignIn(t.Context(), b.device, app)); !screen.OK || screen.User != "alice" {
			t.Fatalf("%+v", screen)
		}
	}
	enter()
	if screen := shown(t)(app.Transfer(t.Context(), device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100})); !screen.OK {
		t.Errorf("%+v", screen)
	}
	if paths := asked(bank.LiteLog, "lite"); count(paths, "POST /"+stage.Slug+"/token") != 1 || count(paths, "POST /"+stage.Slug+"/introspect") == 0 {
		t.Errorf("the other company was asked for %v", paths)
	}
	if paths := asked(bank.AuthLog, "auth"); count(paths, "POST /"+stage.Slug+"/token") != 0 {
		t.Errorf("the bank was asked for %v", paths)
	}
	// Its access tokens are revoked: the app gets another one by its refresh token, which stays.
	lite := bank.ManageLite()
	revoke := func() {
		t.Helper()
		if _, err := manage.Post[manage.Changed](t.Context(), lite, "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	for range 2 {
		revoke()
		if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || !screen.SignedIn {
			t.Errorf("after a revocation: %+v", screen)
		}
	}
	if n := count(asked(bank.LiteLog, "lite"), "POST /"+stage.Slug+"/token"); n != 3 {
		t.Errorf("tokens were asked for %d times", n)
	}
	// While it does not run, nobody knows whether its tokens are good, and what else there is goes on.
	bank.StopLite()
	time.Sleep(time.Second)
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Status != 503 || !screen.SignedIn {
		t.Errorf("while it is stopped: %+v", screen)
	}
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Errorf("public data: %+v", screen)
	}
	bank.StartLite()
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("when it is up again: %+v", screen)
	}
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || screen.SignedIn {
		t.Errorf("%+v", screen)
	}
	if n := count(asked(bank.LiteLog, "lite"), "POST /"+stage.Slug+"/revoke"); n != 1 {
		t.Errorf("asked to revoke %d times", n)
	}
	b.signIn(t, app, stage.Call) // at the bank, where nobody is named
}

// TestProvidersAreNotMixedUp: a response of one provider is not taken for one of the other, though one
// of them does not say whose it is.
func TestProvidersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	stage := chosenStage(t)
	bank := testbank.Start(t, testbank.Options{})
	b := newBenchAt(t, bank)
	app := b.launch(t, stage.Slug)
	for _, provider := range []string{catalog.Bank, catalog.Lite} {
		if screen := shown(t)(app.OpenSignInAt(t.Context(), provider)); !screen.OK {
			t.Fatalf("%+v", screen)
		}
		page := b.device.Agent().Current()
		state, redirect := parameterOf(t, page.URL, "state"), parameterOf(t, page.URL, "redirect_uri")
		if (provider == catalog.Lite) != strings.HasSuffix(redirect, ":/callback/lite") {
			t.Errorf("%s leads back to %s", provider, redirect)
		}
		plain := strings.TrimSuffix(redirect, "/lite")
		links := []string{plain + "/lite?code=c&state=" + state} // of the other, as it is
		if provider == catalog.Lite {
			links = []string{plain + "?code=c&state=" + state + "&iss=" + bank.AuthURL + "/" + stage.Slug, plain + "?code=c&state=" + state}
		} else {
			links = append(links, plain+"?code=c&state="+state) // and led to where the bank's go
		}
		for _, link := range links {
			if _, err := b.device.HandOver(t.Context(), link, stage.Slug); err != nil {
				t.Fatal(err)
			}
			if screen := shown(t)(app.Home(t.Context())); screen.OK || screen.SignedIn || screen.Check != catalog.CheckResponse {
				t.Errorf("asked %s, and opened with %s: %+v", provider, link, screen)
			}
		}
	}
	if n := count(asked(bank.MediatorLog, "mediator"), "POST /"+stage.Slug+"/token"); n != 0 {
		t.Errorf("%d codes were redeemed", n)
	}
}

func parameterOf(t *testing.T, link, name string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}
