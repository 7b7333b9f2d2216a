package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

const tokenStage = "password-grant"

// TestToken signs in, uses the token, and signs out.
func TestToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, tokenStage)
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Check != "signed-in" || screen.SignIn != device.InApp {
		t.Errorf("not signed in: %+v", screen)
	}
	if screen := shown(t)(app.SignIn(t.Context(), "alice", "wrong")); screen.OK || screen.Status != http.StatusBadRequest || screen.User != "" || !strings.Contains(screen.Error, "name or the password") {
		t.Errorf("a wrong password: %+v", screen)
	}
	signedIn := shown(t)(app.SignIn(t.Context(), "alice", b.bank.Passwords["alice"]))
	var on struct {
		User      string    `json:"user"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal(signedIn.Body, &on); err != nil || !signedIn.OK || signedIn.User != "alice" || on.User != "alice" || !on.ExpiresAt.After(time.Now()) || bytes.Contains(signedIn.Body, []byte("eyJ")) {
		t.Errorf("signed in: %+v, %s, %v", signedIn, signedIn.Body, err)
	}
	asked := b.last(t)
	form, err := url.ParseQuery(string(asked.Content))
	if err != nil || form.Get("username") != "alice" || form.Get("client_id") != clientID || asked.Header.Get("Authorization") != "" || asked.Header.Get("App-Authorization") != "" {
		t.Errorf("asked for a token with %v, %v, %v", form, asked.Header, err)
	}
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("%+v", screen)
	}
	_, first, err := token.Shown(b.last(t).Header)
	if err != nil {
		t.Fatal(err)
	}

	if screen := shown(t)(app.SignIn(t.Context(), "bob", b.bank.Passwords["bob"])); !screen.OK || screen.User != "bob" {
		t.Errorf("somebody else: %+v", screen)
	}
	if given := b.last(t); !strings.HasSuffix(given.URL.Path, "/v1/revoke") || !strings.Contains(string(given.Content), url.QueryEscape(first)) {
		t.Errorf("alice's token was not given back: %s", given.Call())
	}
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || screen.User != "" {
		t.Errorf("sign out: %+v", screen)
	}
	if good, err := manage.Get[manage.TokenList](t.Context(), b.bank.Manage(), "/tokens?state=good"); err != nil || good.Total != 0 {
		t.Errorf("still good: %+v, %v", good, err)
	}
	before := len(b.bank.Calls())
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || len(b.bank.Calls()) != before {
		t.Errorf("once more: %+v", screen)
	}
}

// TestTokenIsInMemoryOnly searches the storage, and the records of the class, for the token
// and the password.
func TestTokenIsInMemoryOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, tokenStage)
	b.signIn(t, app, catalog.Call{UserProof: catalog.AccessToken})
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	if stored, err := b.device.Backup(appName); err != nil || len(stored) != 0 {
		t.Errorf("stored: %s, %v", stored, err)
	}
	recorded := false
	for _, m := range b.log.After(0) {
		recorded = recorded || bytes.Contains(m.Body, []byte("grant_type=password"))
		if password := b.bank.Passwords["alice"]; bytes.Contains(m.Body, []byte(url.QueryEscape(password))) || strings.Contains(m.Head, password) {
			t.Errorf("the password is on record: %s", m.Summary)
		}
	}
	if !recorded {
		t.Error("the request for a token is not on record")
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	app = b.launch(t, tokenStage)
	if home := shown(t)(app.Home(t.Context())); home.User != "" {
		t.Errorf("after a restart: %+v", home)
	}
}

// TestTokenEnds has the bank end the token, and its time pass.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*bench) error
		asks bool // the bank
	}{
		{"revoked", func(b *bench) error {
			_, err := manage.Post[manage.Changed](t.Context(), b.bank.Manage(), "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}})
			return err
		}, true},
		{"expired, by the bank's clock", func(b *bench) error {
			b.bank.SetClock(24 * time.Hour)
			return nil
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, tokenStage)
			b.signIn(t, app, catalog.Call{UserProof: catalog.AccessToken})
			if err := test.end(b); err != nil {
				t.Fatal(err)
			}
			before := len(b.bank.Calls())
			screen := shown(t)(app.Transfer(t.Context(), payment()))
			if screen.OK || screen.User != "" || !strings.Contains(screen.Error, "Sign in again") || (len(b.bank.Calls()) > before) != test.asks {
				t.Errorf("%+v", screen)
			}
			if screen := shown(t)(app.Accounts(t.Context())); screen.Check != "signed-in" {
				t.Errorf("afterwards: %+v", screen)
			}
			b.signIn(t, app, catalog.Call{UserProof: catalog.AccessToken})
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Errorf("signed in again: %+v", screen)
			}
		})
	}
}

// TestTokenExpiresInTheApp has the bank issue a token that lasts no time: the app asks nobody
// whether it is still good.
func TestTokenExpiresInTheApp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, tokenStage)
	b.bank.ChangeAnswers(func(r *http.Response, body []byte) []byte {
		var answer map[string]any
		if json.Unmarshal(body, &answer) != nil || answer["expires_in"] == nil {
			return body
		}
		answer["expires_in"] = 1
		changed, err := json.Marshal(answer)
		if err != nil {
			t.Error(err)
		}
		r.Header.Del("Content-Length")
		return changed
	})
	b.signIn(t, app, catalog.Call{UserProof: catalog.AccessToken})
	time.Sleep(1100 * time.Millisecond) // its whole life
	before := len(b.bank.Calls())
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.User != "" || screen.Check != "signed-in" || !strings.Contains(screen.Error, "Sign in again") || len(b.bank.Calls()) != before {
		t.Errorf("%+v", screen)
	}
}

// TestForeignRefusalsSignNobodyOut: a 401 of something else than the token leaves it alone.
func TestForeignRefusalsSignNobodyOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, tokenStage)
	b.signIn(t, app, catalog.Call{UserProof: catalog.AccessToken})
	for _, challenge := range []string{"", `key realm="x"`, `Bearer realm="x"`} {
		b.bank.ChangeAnswers(func(r *http.Response, _ []byte) []byte {
			r.StatusCode, r.Header = http.StatusUnauthorized, http.Header{"Content-Type": {errorMedia}, "Www-Authenticate": {challenge}}
			return []byte(`{"title":"No","status":401}`)
		})
		if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.User != "alice" {
			t.Errorf("%q: %+v", challenge, screen)
		}
	}
}

func TestSignOutWithoutTheBankForgetsTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, tokenStage)
	b.signIn(t, app, catalog.Call{UserProof: catalog.AccessToken})
	b.bank.Leave()
	if screen := shown(t)(app.SignOut(t.Context())); screen.OK || screen.User != "" || !strings.Contains(screen.Error, "signed out on this phone") {
		t.Errorf("%+v", screen)
	}
}
