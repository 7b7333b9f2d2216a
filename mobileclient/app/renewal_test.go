package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// renewing has alice signed in, with an access token that the app is told lasts that long, and
// a refresh token.
func renewing(t *testing.T, life int) (*bench, *issuer, *device.App) {
	t.Helper()
	b, issuer := issuing(t, catalog.CodeAndRefresh)
	issuer.life = life
	app := b.launch(t, tokenStage)
	if screen := b.enter(t, app, "alice"); !screen.OK || screen.User != "alice" {
		t.Fatalf("%+v", screen)
	}
	return b, issuer, app
}

// TestRenewal has twenty calls find the access token expired: one of them renews it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	b, issuer, app := renewing(t, 1)
	time.Sleep(time.Second) // its whole life
	issuer.change(func() { issuer.life = 3600 })
	first, before := issuer.newest()[0], len(issuer.asked("refresh_token"))
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if screen, err := app.Accounts(t.Context()); err != nil || !screen.OK || screen.User != "alice" {
				t.Errorf("%+v, %v", screen, err)
			}
		})
	}
	calls.Wait()
	asked := issuer.asked("refresh_token")[before:]
	if len(asked) != 1 || asked[0].Get("refresh_token") != first || len(asked[0].Get("Idempotency-Key")) < 22 || asked[0].Get("Authorization") == "" {
		t.Errorf("asked: %v", asked)
	}
	stored, err := b.device.Backup(appName)
	if item := stored["session."+tokenStage]; err != nil || !bytes.Contains(item, []byte(issuer.newest()[0])) || bytes.Contains(item, []byte(first)) || bytes.Contains(item, []byte("renewal_key")) {
		t.Errorf("stored: %s, %v", item, err)
	}
}

// TestRenewalAhead renews a token that is still good, but not for long.
func TestRenewalAhead(t *testing.T) {
	t.Parallel()
	_, issuer, app := renewing(t, 10)
	signedIn := time.Now()
	before := len(issuer.asked("refresh_token"))
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || time.Since(signedIn) < 8*time.Second && len(issuer.asked("refresh_token")) != before {
		t.Errorf("too early: %+v", screen)
	}
	time.Sleep(time.Until(signedIn.Add(9 * time.Second)))
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || len(issuer.asked("refresh_token")) == before {
		t.Errorf("a second before its end: %+v", screen)
	}
}

// TestRestart starts the app anew: the user stays signed in, by the refresh token.
func TestRestart(t *testing.T) {
	t.Parallel()
	b, issuer, app := renewing(t, 3600)
	first := issuer.newest()[0]
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	app = b.launch(t, tokenStage)
	if home := shown(t)(app.Home(t.Context())); !home.SignedIn || home.User != "alice" {
		t.Errorf("%+v", home)
	}
	if n := len(issuer.asked("refresh_token")); n != 0 {
		t.Errorf("it has asked for %d tokens that nobody needs", n)
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
		t.Errorf("%+v", screen)
	}
	if asked := issuer.asked("refresh_token"); len(asked) != 1 || asked[0].Get("refresh_token") != first {
		t.Errorf("asked: %v", asked)
	}
}

// TestLostAnswer loses the answers to a renewal: the app asks again with the same refresh token
// and the same key, also after a restart, and no family forks.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for lost, restart := range map[int]bool{1: false, 3: true} {
		t.Run(fmt.Sprintf("%d lost", lost), func(t *testing.T) {
			t.Parallel()
			b, issuer, app := renewing(t, 1)
			time.Sleep(time.Second) // its whole life
			before := len(issuer.asked("refresh_token"))
			issuer.change(func() { issuer.life, issuer.losing = 3600, lost })
			screen := shown(t)(app.Accounts(t.Context()))
			if screen.OK == restart || !screen.SignedIn {
				t.Fatalf("%+v", screen)
			}
			if restart {
				if err := app.Close(); err != nil {
					t.Fatal(err)
				}
				app = b.launch(t, tokenStage)
				if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
					t.Errorf("after a restart: %+v", screen)
				}
			}
			asked := issuer.asked("refresh_token")[before:]
			if len(asked) != lost+1 {
				t.Fatalf("asked %d times", len(asked))
			}
			for _, form := range asked {
				if form.Get("refresh_token") != asked[0].Get("refresh_token") || form.Get("Idempotency-Key") != asked[0].Get("Idempotency-Key") {
					t.Errorf("asked with %v and %v", asked[0], form)
				}
			}
			if err := app.Close(); err != nil {
				t.Fatal(err)
			}
			app = b.launch(t, tokenStage) // with what is stored
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || len(issuer.newest()) != 1 {
				t.Errorf("afterwards: %+v, families: %d", screen, len(issuer.newest()))
			}
			if asked := issuer.asked("refresh_token"); asked[len(asked)-1].Get("Idempotency-Key") == asked[0].Get("Idempotency-Key") {
				t.Error("the next renewal has the same key")
			}
		})
	}
}

// TestRenewalRefused has the server refuse a renewal: only what it says of the refresh token
// signs the user out.
func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		status   int
		body     string
		wants    string // of the screen
		signsOut bool
	}{
		{"revoked", http.StatusBadRequest, `{"error":"invalid_grant"}`, "You are signed out", true},
		{"the client", http.StatusUnauthorized, `{"error":"invalid_client"}`, "does not accept this app", false},
		{"a fault", http.StatusInternalServerError, `{"title":"oops"}`, "500", false},
		{"no JSON", http.StatusOK, `<p>Welcome to the hotel`, "can't be reached", false},
		{"no lifetime", http.StatusOK, `{"access_token":"abc","token_type":"Bearer"}`, "how long", false},
		{"another type", http.StatusOK, `{"access_token":"abc","token_type":"mac","expires_in":60}`, "type", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, issuer, app := renewing(t, 1)
			time.Sleep(time.Second) // its whole life
			issuer.change(func() {
				issuer.token = func(w http.ResponseWriter, _ url.Values) bool {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(test.status)
					fmt.Fprint(w, test.body)
					return true
				}
			})
			screen := shown(t)(app.Accounts(t.Context()))
			if screen.OK || screen.SignedIn == test.signsOut || !strings.Contains(screen.Error, test.wants) {
				t.Errorf("%+v", screen)
			}
			stored, err := b.device.Backup(appName)
			if err != nil || (stored["session."+tokenStage] == nil) != test.signsOut {
				t.Errorf("stored: %s, %v", stored, err)
			}
			issuer.change(func() { issuer.token = nil })
			if screen := shown(t)(app.Accounts(t.Context())); screen.OK == test.signsOut {
				t.Errorf("afterwards: %+v", screen)
			}
		})
	}
}

// TestRevokedTokenIsRenewed has the API refuse a token that the app takes for good. The payment
// that it was in was not made: it is made with the next token, once.
func TestRevokedTokenIsRenewed(t *testing.T) {
	t.Parallel()
	b, issuer, app := renewing(t, 3600)
	revoke := func() {
		t.Helper()
		if _, err := manage.Post[manage.Changed](t.Context(), b.bank.Manage(), "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}); err != nil {
			t.Fatal(err)
		}
	}
	revoke()
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK || screen.User != "alice" {
		t.Errorf("%+v", screen)
	}
	if refreshed, sent := len(issuer.asked("refresh_token")), count(b.bank.Calls(), "POST /v1/transfers"); refreshed != 1 || sent != 2 {
		t.Errorf("%d renewals, %d calls", refreshed, sent)
	}
	history := shown(t)(app.Transfers(t.Context(), payment().From))
	if n := bytes.Count(history.Body, []byte(`"rent \u0026 more"`)); n != 1 {
		t.Errorf("%d payments: %s", n, history.Body)
	}

	// One that is refused again is not tried for ever.
	b.bank.ChangeRequests(func(r *http.Request, body []byte) []byte {
		if r.Header.Get("Authorization") != "" {
			r.Header.Set("Authorization", "Bearer abc")
		}
		return body
	})
	before := len(b.bank.Calls())
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.SignedIn {
		t.Errorf("%+v", screen)
	}
	if calls := b.bank.Calls()[before:]; count(calls, "GET /v1/accounts") != 2 || len(issuer.asked("refresh_token")) != 2 {
		t.Errorf("calls: %v", calls)
	}
}

// TestExpiredUnderWay has refusals arrive when the refused token has expired anyway. That signs nobody out:
// the next token is tried, some times.
func TestExpiredUnderWay(t *testing.T) {
	t.Parallel()
	const life = 1
	b, issuer, app := renewing(t, life)
	b.bank.ChangeAnswers(func(r *http.Response, body []byte) []byte {
		if r.StatusCode == http.StatusUnauthorized {
			time.Sleep(life*time.Second + 100*time.Millisecond)
		}
		return body
	})
	time.Sleep(life * time.Second) // so that the first call is made with a new one
	issuer.change(func() { issuer.spoiling = 2 })
	before := len(issuer.asked("refresh_token"))
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || len(issuer.asked("refresh_token")) != before+3 {
		t.Errorf("%+v, asked: %d", screen, len(issuer.asked("refresh_token"))-before)
	}
	time.Sleep(life * time.Second)
	issuer.change(func() { issuer.spoiling = 10 })
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || !screen.SignedIn || !strings.Contains(screen.Error, "You stay signed in.") {
		t.Errorf("each is refused: %+v", screen)
	}
	issuer.change(func() { issuer.spoiling = 0 })
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("after that: %+v", screen)
	}
	time.Sleep(life * time.Second)
	issuer.change(func() { issuer.spoiling, issuer.life = 2, 3600 })
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.SignedIn {
		t.Errorf("what was refused was good long enough: %+v", screen)
	}
}

// TestRenewalOfSignedCalls has the bank sign its answers: the app believes only those that a
// token is not good any more, and signs each call with the token of its own.
func TestRenewalOfSignedCalls(t *testing.T) {
	t.Parallel()
	bank := testbank.Start(t, testbank.Options{Stages: catalog.All().With(tokenStage, func(p *catalog.Policies) {
		p.Call.AppProof, p.Call.KeyPlace, p.Call.Nonces, p.Call.Binding = catalog.Hawk, catalog.NoKeySent, catalog.NoncesRemembered, catalog.TokenOfCall
	})})
	b, issuer := issuingAt(t, bank, catalog.CodeAndRefresh, bank.Secret(clientID))
	b.settings.SharedSecret = "which no call is signed with here, and more" // as it would be for calls before this
	app := b.launch(t, tokenStage)
	if screen := b.enter(t, app, "alice"); !screen.OK || screen.User != "alice" {
		t.Fatalf("%+v", screen)
	}
	if proof := b.last(t).Header.Get("App-Authorization"); !strings.HasPrefix(proof, "Hawk ") {
		t.Errorf("proof of the app: %q", proof)
	}
	b.bank.ChangeAnswers(func(r *http.Response, body []byte) []byte {
		if r.StatusCode != http.StatusOK {
			return body
		}
		r.StatusCode, r.Header = http.StatusUnauthorized, http.Header{"Content-Type": {errorMedia}, "Www-Authenticate": {`Bearer error="invalid_token"`}}
		return []byte(`{"type":"urn:keyladder:problem:token-not-accepted","title":"No","status":401}`)
	})
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || !screen.SignedIn || len(issuer.asked("refresh_token")) != 0 {
		t.Errorf("anybody could have said that: %+v", screen)
	}
	b.bank.ChangeAnswers(nil)
	if _, err := manage.Post[manage.Changed](t.Context(), b.bank.Manage(), "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}); err != nil {
		t.Fatal(err)
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK || len(issuer.asked("refresh_token")) != 1 {
		t.Errorf("%+v, asked: %d", screen, len(issuer.asked("refresh_token")))
	}
}

// TestSignOutDuringARenewal signs out while the answer to a renewal is on its way: what it
// brings signs nobody in.
func TestSignOutDuringARenewal(t *testing.T) {
	t.Parallel()
	b, issuer, app := renewing(t, 1)
	time.Sleep(time.Second) // its whole life
	arrived, release := make(chan struct{}), make(chan struct{})
	issuer.change(func() {
		issuer.token = func(http.ResponseWriter, url.Values) bool {
			close(arrived)
			<-release
			return false
		}
	})
	done := make(chan device.Screen, 1)
	go func() {
		screen, err := app.Accounts(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- screen
	}()
	<-arrived
	signedOut := shown(t)(app.SignOut(t.Context()))
	close(release)
	if screen := <-done; screen.OK || screen.SignedIn || !signedOut.OK {
		t.Errorf("signed out: %+v, the call: %+v", signedOut, screen)
	}
	if stored, err := b.device.Backup(appName); err != nil || stored["session."+tokenStage] != nil {
		t.Errorf("stored: %s, %v", stored, err)
	}
	if newest := issuer.newest(); len(issuer.revoked) != 2 || !slices.Contains(newest, issuer.revoked[1].Get("token")) {
		t.Errorf("the newest %v was not given back: %v", newest, issuer.revoked)
	}
}

// TestRenewalWithoutANextToken has the server give an access token alone: the refresh token that
// the app has goes on being good (RFC 6749, section 6), and is kept.
func TestRenewalWithoutANextToken(t *testing.T) {
	t.Parallel()
	b, issuer, app := renewing(t, 1)
	first := issuer.newest()[0]
	issuer.change(func() {
		issuer.token = func(w http.ResponseWriter, form url.Values) bool {
			given := issuer.access("alice")
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(given); err != nil {
				t.Error(err)
			}
			return true
		}
	})
	before := len(issuer.asked("refresh_token"))
	for range 2 {
		time.Sleep(time.Second) // the whole life of the access token
		if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
			t.Errorf("%+v", screen)
		}
	}
	asked := issuer.asked("refresh_token")[before:]
	if len(asked) < 2 {
		t.Fatalf("asked %d times", len(asked))
	}
	for _, form := range asked {
		if form.Get("refresh_token") != first {
			t.Errorf("asked with another token: %v", form)
		}
	}
	if stored, err := b.device.Backup(appName); err != nil || !bytes.Contains(stored["session."+tokenStage], []byte(first)) {
		t.Errorf("stored: %s, %v", stored, err)
	}
}

// TestNextTokenIsStoredFirst: by the time that the API sees the new access token, the refresh
// token that came with it is in the app's storage. An app that ends in between loses nothing.
func TestNextTokenIsStoredFirst(t *testing.T) {
	t.Parallel()
	b, issuer, app := renewing(t, 1)
	first := issuer.newest()[0]
	time.Sleep(time.Second) // the whole life of the access token
	issuer.change(func() { issuer.life = 3600 })
	var seen [][]byte // what was stored while a call was answered
	b.bank.Answer(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if strings.HasSuffix(r.URL.Path, "/v1/accounts") {
			stored, err := b.device.Backup(appName)
			if err != nil {
				t.Error(err)
			}
			seen = append(seen, stored["session."+tokenStage])
		}
		return issuer.serve(w, r, body)
	})
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
		t.Errorf("%+v", screen)
	}
	if len(seen) != 1 || !bytes.Contains(seen[0], []byte(issuer.newest()[0])) || bytes.Contains(seen[0], []byte(first)) {
		t.Errorf("stored at the call: %s", seen)
	}
}
