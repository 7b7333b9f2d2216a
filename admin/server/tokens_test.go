package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// fakeTokens are the access tokens and signing keys of a fake bank.
type fakeTokens struct {
	tokens []manage.Token
	keys   []manage.SigningKey
	calls  map[string][]manage.TokenCall // by the token's ID
	off    *time.Time                    // from when on nobody looks whether a token was revoked
}

// grantTokens adds the routes about access tokens, and some of them.
func (b *fakeBank) grantTokens() {
	now := b.now()
	b.keys = []manage.SigningKey{{ID: "K1", Stage: "password-grant", CreatedAt: now.Add(-72 * time.Hour), Signs: true, Good: true}}
	b.HandleFunc("GET /tokens", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			found := slices.DeleteFunc(slices.Clone(b.tokens), func(t manage.Token) bool {
				return r.FormValue("state") == "good" && !b.good(t) || !strings.Contains(t.User+t.Client, r.FormValue("search")) && t.ID != r.FormValue("search")
			})
			programtest.Answer(w, manage.TokenList{Tokens: part(r, found), Total: len(found)})
		})
	})
	b.HandleFunc("POST /tokens/revoke", func(w http.ResponseWriter, r *http.Request) {
		var s manage.TokenSelection
		_ = json.NewDecoder(r.Body).Decode(&s)
		b.locked(func() {
			changed, now := 0, b.now()
			for i, t := range b.tokens {
				if b.good(t) && (slices.Contains(s.IDs, t.ID) || len(s.IDs) == 0 && strings.Contains(t.User, s.Search)) {
					b.tokens[i].RevokedAt = &now
					changed++
				}
			}
			programtest.Answer(w, manage.Changed{Changed: changed})
		})
	})
	b.HandleFunc("GET /tokens/{id}/calls", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() { programtest.Answer(w, b.calls[r.PathValue("id")]) })
	})
	b.HandleFunc("GET /revocation-checks", func(w http.ResponseWriter, _ *http.Request) {
		b.locked(func() {
			programtest.Answer(w, []manage.RevocationCheck{{Stage: "password-grant", Off: b.off != nil, Since: b.off}})
		})
	})
	b.HandleFunc("POST /stages/password-grant/revocation-check/{way}", func(_ http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			now := b.now()
			b.off = &now
			if r.PathValue("way") == "on" {
				b.off = nil
			}
		})
	})
	b.HandleFunc("GET /signing-keys", func(w http.ResponseWriter, _ *http.Request) { b.locked(func() { programtest.Answer(w, b.keys) }) })
	b.HandleFunc("POST /stages/{stage}/signing-keys", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			until := b.now().Add(time.Hour)
			b.keys[0].Signs, b.keys[0].GoodUntil = false, &until
			b.keys = append([]manage.SigningKey{{ID: "K2", Stage: r.PathValue("stage"), CreatedAt: b.now(), Signs: true, Good: true}}, b.keys...)
		})
	})
	b.HandleFunc("POST /signing-keys/{id}/withdraw", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			i := slices.IndexFunc(b.keys, func(k manage.SigningKey) bool { return k.ID == r.PathValue("id") })
			switch {
			case i < 0:
				problem.New(http.StatusNotFound, "no-such-resource", "There is nothing to change", "").Write(w)
			case b.keys[i].Signs:
				problem.New(http.StatusConflict, "in-use", "That key signs now", "Rotate first.").Write(w)
			default:
				b.keys[i].Good = false
			}
		})
	})
}

func (b *fakeBank) good(t manage.Token) bool {
	return t.RevokedAt == nil && b.now().Before(t.ExpiresAt)
}

func tokensOf(set *setting) {
	now := set.clock.now()
	set.bank.locked(func() {
		for i, user := range []string{"alice", "alice", "bob"} {
			set.bank.tokens = append(set.bank.tokens, manage.Token{
				ID: "T" + string(rune('1'+i)), Key: "K1", Stage: "password-grant", User: user, Client: "harbour-mobile", Scope: "accounts:read transfers:write", Issuer: "https://localhost:8443/password-grant", Audience: "https://localhost:8443/password-grant/v1",
				IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(59 * time.Minute), Calls: int64(i * 1200),
			})
		}
	})
}

// TestTokensAreRevoked, one and many, after a question.
func TestTokensAreRevoked(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/tokens").want(t, http.StatusOK, "No access token is good now", `data-signing-key="K1"`, "signs new tokens")
	tokensOf(set)
	b.get("/tokens").want(t, http.StatusOK, `data-total="3"`, `data-token="T1"`, "2,400", "accounts:read transfers:write")
	if rows := b.rows("/tokens?search=bob", "data-token"); !slices.Equal(rows, []string{"T3"}) {
		t.Errorf("searched for bob: %v", rows)
	}
	b.get("/tokens/revoke?id=T1").want(t, http.StatusOK, "Revoke 1 access token?", "alice in harbour-mobile at password-grant")
	b.sure("/tokens/revoke?id=T1&back=/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, `data-total="2"`, "1 access token is revoked")
	b.sure("/tokens/revoke?all=1&back=/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, "2 access tokens are revoked", "No access token is good now")
	b.get("/tokens?state=any").want(t, http.StatusOK, `data-total="3"`, "revoked")
	b.get("/tokens/revoke?back=/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, "Choose some first")
	b.get("/audit").want(t, http.StatusOK, "revoke access tokens", "alice in harbour-mobile at password-grant, 0 calls so far (T1)", "all access tokens that are good<")
}

// TestSigningKeysAreReplaced and then withdrawn, which is refused for the one that signs.
func TestSigningKeysAreReplaced(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/signing-keys/tls/rotate").want(t, http.StatusNotFound)
	b.get("/signing-keys/K9/withdraw").want(t, http.StatusNotFound)
	b.sure("/signing-keys/K1/withdraw?back=/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, `data-notice="failed"`, "That key signs now")
	b.sure("/signing-keys/password-grant/rotate?back=/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, "signed with a new key", `data-withdraw="K1"`, `data-rotate="password-grant"`)
	b.sure("/signing-keys/K1/withdraw?back=/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, "nothing that it signed is accepted")
}

// TestPageOfAToken lists what was done with it, and what was done after it was revoked.
func TestPageOfAToken(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	tokensOf(set)
	b.get("/tokens").want(t, http.StatusOK, `href="/tokens/T1"`)
	b.get("/tokens/T1").want(t, http.StatusOK, "Access token of alice", `data-revoke-token="T1"`, "Nothing yet", `&#34;typ&#34;: &#34;at+jwt&#34;`, `&#34;aud&#34;: &#34;https://localhost:8443/password-grant/v1&#34;`)
	b.get("/tokens/T9").want(t, http.StatusNotFound, "no such access token")
	now := set.clock.now()
	set.bank.locked(func() {
		set.bank.calls = map[string][]manage.TokenCall{"T1": {
			{At: now.Add(2 * time.Second), Route: "GET /v1/rates<b>", Status: 200, Address: "::1"},
			{At: now.Add(-time.Second), Route: "POST /v1/transfers", Status: 201, Address: "192.0.2.7", Did: "paid EUR 1.00 from HB-1001 to HB-2001"},
		}}
	})
	b.sure("/tokens/revoke?id=T1&back=/tokens/T1").want(t, http.StatusSeeOther)
	set.clock.turn(time.Minute)
	page := b.get("/tokens/T1")
	page.want(t, http.StatusOK, `data-revoked="true"`, "stays done", "paid EUR 1.00 from HB-1001 to HB-2001", "192.0.2.7", "GET /v1/rates&lt;b&gt;")
	if n := strings.Count(page.Body, `data-test="after"`); n != 1 {
		t.Errorf("%d calls are after the revocation", n)
	}
}

// TestRevocationCheckIsSwitched after a question, and it can't be overlooked that it is off.
func TestRevocationCheckIsSwitched(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	const warning = `data-revoked-served="password-grant"`
	pages := []string{"/tokens", "/stages/password-grant/try"}
	for _, page := range pages {
		if strings.Contains(b.get(page).Body, warning) {
			t.Errorf("%s warns", page)
		}
	}
	b.get("/revocation-checks/tls/off").want(t, http.StatusNotFound)
	b.get("/revocation-checks/nowhere/off").want(t, http.StatusNotFound)
	b.sure("/revocation-checks/password-grant/off?back=/tokens").want(t, http.StatusSeeOther)
	for _, page := range pages {
		b.get(page).want(t, http.StatusOK, warning, "Revoked access tokens are served at password-grant")
	}
	b.get("/tokens").want(t, http.StatusOK, `data-switch-on="password-grant"`, "off: revoked tokens are served")
	b.post("/revocation-checks/password-grant/on", "back", "/tokens").want(t, http.StatusSeeOther)
	b.get("/tokens").want(t, http.StatusOK, `data-switch-off="password-grant"`, "refused again")
	b.get("/audit").want(t, http.StatusOK, "switch off the check for revoked access tokens", "switch on the check for revoked access tokens")
}
