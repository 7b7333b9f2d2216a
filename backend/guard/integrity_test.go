package guard_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

const (
	attestedStage = "attested-hash"
	attester      = "https://attest.harbourbank.test/"
)

// servers is the key of an app whose secret servers share.
func servers(app string) string { return app + "-servers" }

// attested is a client integrity token of an app, good for a minute, but for what is changed.
func (w *world) attested(app string, change func(key *token.Key, claims *integrity.Claims)) string {
	w.Helper()
	return w.attestedAt(attestedStage, app, change)
}

// attestedAt is the same at any stage.
func (w *world) attestedAt(stage, app string, change func(key *token.Key, claims *integrity.Claims)) string {
	w.Helper()
	now := w.clock.Now()
	key := token.Key{ID: servers(app), Secret: token.Secret(w.secrets[servers(app)])}
	claims := integrity.Claims{
		Issuer: attester + stage, ClientID: app, Audience: []string{"https://" + host + "/" + stage + "/v1"},
		Issued: now.Truncate(time.Second), Expires: now.Add(time.Minute).Truncate(time.Second), ID: token.NewID(), Release: 2, Level: "package-hash",
	}
	if change != nil {
		change(&key, &claims)
	}
	text, err := integrity.Sign(key, claims)
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// TestIntegrityTokens: what is not good is refused, with one answer whatever is wrong, and what is
// good is found good again when it comes once more, until something about it changes.
func TestIntegrityTokens(t *testing.T) {
	t.Parallel()
	type change = func(*token.Key, *integrity.Claims)
	set := func(c change) func(*world, *http.Request) {
		return func(w *world, r *http.Request) { integrity.Set(r.Header, w.attested(mobile, c)) }
	}
	for name, test := range map[string]struct {
		spoil  func(*world, *http.Request)
		status int
	}{
		"a good one": {func(*world, *http.Request) {}, 200},
		"none":       {func(_ *world, r *http.Request) { r.Header.Del(integrity.Field) }, 401},
		"the access token in its place": {func(_ *world, r *http.Request) {
			integrity.Set(r.Header, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		}, 401},
		"two": {func(w *world, r *http.Request) { r.Header.Add(integrity.Field, w.attested(mobile, nil)) }, 400},
		"a failing one": {func(w *world, r *http.Request) {
			text, err := integrity.Fail(servers(mobile), integrity.Claims{
				Issuer: attester + attestedStage, ClientID: mobile, Audience: []string{"https://" + host + "/" + attestedStage + "/v1"},
				Issued: w.clock.Now(), Expires: w.clock.Now().Add(time.Minute), ID: "one", Release: 2, Level: "package-hash",
			})
			if err != nil {
				t.Fatal(err)
			}
			integrity.Set(r.Header, text)
		}, 401},
		"an unknown key": {set(func(k *token.Key, _ *integrity.Claims) { k.ID = "nobody" }), 401},
		"the app's own secret": {func(w *world, r *http.Request) {
			integrity.Set(r.Header, w.attested(mobile, func(k *token.Key, _ *integrity.Claims) {
				w.rotate(mobile) // to a secret that is long enough
				*k = token.Key{ID: mobile, Secret: token.Secret(w.secrets[mobile])}
			}))
		}, 401},
		"another app's key":           {set(func(k *token.Key, _ *integrity.Claims) { k.ID = servers(kiosk) }), 401},
		"of another app":              {set(func(_ *token.Key, c *integrity.Claims) { c.ClientID = kiosk }), 401},
		"of another stage":            {set(func(_ *token.Key, c *integrity.Claims) { c.Issuer = attester + "tls" }), 401},
		"for another API":             {set(func(_ *token.Key, c *integrity.Claims) { c.Audience = []string{"https://elsewhere"} }), 401},
		"expired":                     {set(func(_ *token.Key, c *integrity.Claims) { c.Expires = c.Issued }), 401},
		"from the future":             {set(func(_ *token.Key, c *integrity.Claims) { c.Issued = c.Issued.Add(10 * time.Second) }), 401},
		"good, but of the wrong user": {func(_ *world, r *http.Request) { r.Header.Del("Authorization") }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
			w.rotate(servers(mobile))
			r := w.request(attestedStage, http.MethodGet, "/v1/accounts", "")
			test.spoil(w, r)
			answer, verdict := w.do(r)
			if answer.Code != test.status {
				t.Errorf("%d %s; %+v", answer.Code, answer.Body, verdict)
			}
			if test.status != http.StatusOK && name != "good, but of the wrong user" && verdict.Check != catalog.CheckIntegrity {
				t.Errorf("refused by %s", verdict.Check)
			}
			if strings.Contains(answer.Body.String(), "signature") || answer.Code == 401 && verdict.Check == catalog.CheckIntegrity && kindOf(answer) != "integrity-not-accepted" {
				t.Errorf("the client is told %s", answer.Body)
			}
		})
	}
}

// rotate gives a key a new secret, of full length.
func (w *world) rotate(key string) {
	w.Helper()
	rotated, err := w.apps.RotateSecret(context.Background(), key)
	if err != nil {
		w.Fatal(err)
	}
	w.secrets[key] = rotated.Secret
}

// TestWhatIsRememberedOfIntegrityTokens is looked at again with each call as far as it can change:
// the clock, the key, and the secret, which is good for a while after it was replaced.
func TestWhatIsRememberedOfIntegrityTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*world)
		status int
	}{
		"nothing changes":        {func(*world) {}, 200},
		"it expires":             {func(w *world) { w.clock.advance(time.Minute) }, 401},
		"the clock is set back":  {func(w *world) { w.clock.advance(-time.Minute) }, 401},
		"its secret is replaced": {func(w *world) { w.rotate(servers(mobile)) }, 200},
		"and the time for that is over": {func(w *world) {
			w.rotate(servers(mobile))
			w.clock.advance(31 * time.Second)
		}, 401},
		"its key is revoked": {func(w *world) {
			if _, err := w.apps.Revoke(context.Background(), servers(mobile)); err != nil {
				t.Fatal(err)
			}
		}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All().With(attestedStage, func(p *catalog.Policies) { p.API.SecretOverlap = catalog.Decide(30 * time.Second) }))
			w.rotate(servers(mobile))
			first := w.request(attestedStage, http.MethodGet, "/v1/rates", "")
			text := first.Header.Get(integrity.Field)
			for range 2 {
				if answer, _ := w.do(first.Clone(first.Context())); answer.Code != http.StatusOK {
					t.Fatalf("%d %s", answer.Code, answer.Body)
				}
			}
			if calls := w.guard.IntegrityCalls(attestedStage); len(calls) != 1 || slices.Collect(maps.Values(calls))[0] != 2 {
				t.Errorf("calls by their tokens: %v", calls)
			}
			test.change(w)
			again := w.request(attestedStage, http.MethodGet, "/v1/rates", "")
			integrity.Set(again.Header, text)
			answer, verdict := w.do(again)
			if answer.Code != test.status || test.status != http.StatusOK && verdict.Check != catalog.CheckIntegrity {
				t.Errorf("%d %s; %+v", answer.Code, answer.Body, verdict)
			}
		})
	}
}

// TestGuardWithoutAttester accepts no client integrity token.
func TestGuardWithoutAttester(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.rotate(servers(mobile))
	w.config.Attested = guard.Attested{}
	w.start()
	if answer, verdict := w.do(w.request(attestedStage, http.MethodGet, "/v1/rates", "")); answer.Code != http.StatusUnauthorized || verdict.Check != catalog.CheckIntegrity {
		t.Errorf("%d; %+v", answer.Code, verdict)
	}
}
