package gateway_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/backend/gateway"
	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/servernonce"
	"keyladder/stages/mechanism/token"
)

func contextOf(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	return r.WithContext(ctx), cancel
}

// asks is what another gateway asks about a call.
func (w *world) asks(call *http.Request, fields ...string) *http.Request {
	r := w.request(http.MethodGet, "/check", "")
	r.Header = call.Header.Clone()
	r = r.WithContext(guard.WithListener(w.Context(), guard.Terminated))
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

// TestSubrequests: another gateway is told what would become of a call here, and what to say about its
// caller.
func TestSubrequests(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	call := func() *http.Request { return w.request(http.MethodPost, "/v1/transfers", "") }
	nginx := func(method, target string) []string {
		return []string{"X-Original-Method", method, "X-Original-URI", target}
	}
	without := func(r *http.Request, field string) *http.Request { r.Header.Del(field); return r }
	const transfers = "/" + stage + "/v1/transfers"
	for name, test := range map[string]struct {
		r      *http.Request
		status int
	}{
		"as nginx asks":                   {w.asks(call(), nginx("POST", transfers)...), 204},
		"as Caddy asks":                   {w.asks(call(), "X-Forwarded-Method", "POST", "X-Forwarded-Uri", transfers+"?a=b"), 204},
		"public data, and nobody":         {w.asks(without(call(), "Authorization"), nginx("GET", "/"+stage+"/v1/rates")...), 204},
		"nobody, and not public":          {w.asks(without(call(), "Authorization"), nginx("POST", transfers)...), 401},
		"no genuine app":                  {w.asks(without(call(), integrity.Field), nginx("POST", transfers)...), 401},
		"no app":                          {w.asks(call(), append(nginx("POST", transfers), "User-Agent", "curl/8")...), 403},
		"nothing that there is":           {w.asks(call(), nginx("GET", "/"+stage+"/v1/unknown")...), 403},
		"a method that does not go":       {w.asks(call(), nginx("DELETE", transfers)...), 403},
		"another stage":                   {w.asks(call(), nginx("GET", "/mediated/v1/accounts")...), 403},
		"a path that leads out":           {w.asks(call(), nginx("GET", "/"+stage+"/../mediated/v1/accounts")...), 403},
		"an address of somewhere":         {w.asks(call(), nginx("GET", "https://elsewhere.test"+transfers)...), 403},
		"no call at all":                  {w.asks(call()), 403},
		"a question about a question":     {w.asks(call(), nginx("GET", "/"+stage+"/check")...), 403},
		"from somebody who is no gateway": {w.asks(call(), nginx("POST", transfers)...).WithContext(guard.WithListener(t.Context(), guard.TLS)), 404},
	} {
		before := len(w.calls())
		answer := w.do(test.r)
		if answer.Code != test.status {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
		if len(w.calls()) != before {
			t.Errorf("%s: it was sent on", name)
		}
		text := answer.Header().Get(forwarded.Field)
		if (text != "") != (test.status == 204) {
			t.Errorf("%s: it says %q", name, text)
		}
		if name == "as nginx asks" {
			said, err := forwarded.Verifier{Issuer: base, Audience: w.inside, Key: w.key}.Verify(text, http.MethodPost, transfers, time.Now())
			if err != nil || said.Subject != "alice" || said.ClientID != app {
				t.Errorf("it says %+v, %v", said, err)
			}
		}
	}
}

// TestSubrequestLimit: addresses are counted as they are told.
func TestSubrequestLimit(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *gateway.Config, g *guard.Config) { g.Address = guard.Limit{PerSecond: 0.001, Burst: 1} })
	var got []int
	for _, address := range []string{"203.0.113.7", "203.0.113.7", "203.0.113.8"} {
		r := w.asks(w.request(http.MethodGet, "/v1/rates", ""), "X-Original-Method", "GET", "X-Original-URI", "/"+stage+"/v1/rates", "X-Forwarded-For", address)
		got = append(got, w.do(r).Code)
	}
	if got[0] != 204 || got[1] != 429 || got[2] != 204 {
		t.Errorf("%d", got)
	}
}

// TestSubrequestsOfBoundCalls: a question is answered where the call has a proof of the device's key,
// for that call, once.
func TestSubrequestsOfBoundCalls(t *testing.T) {
	t.Parallel()
	nonces := &servernonce.Source{Key: bytes.Repeat([]byte("n"), 32), Slot: time.Hour}
	key := testenv.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	public := testenv.Must[jwk.Key](t)(jwk.OfSigner(key))
	w := start(t, func(_ *gateway.Config, g *guard.Config) {
		g.Stages, g.Host = catalog.All(), strings.TrimPrefix(origin, "https://")
		g.Proofs = &guard.Proofs{Nonces: nonces, Memory: guard.ProofMemory(nil, time.Now()), Responses: key}
	})
	access := w.token(tokens.Grant{Stage: bound, Thumbprint: public.Thumbprint()})
	const transfers = "/" + bound + "/v1/transfers"
	asks := func(method, target, nonce string) *http.Request {
		r := w.asks(w.request(method, "", ""), "X-Original-Method", "POST", "X-Original-URI", transfers)
		r.URL.Path = "/" + bound + "/check"
		token.SetBound(r.Header, access)
		integrity.Set(r.Header, w.attested(public))
		dpop.Set(r.Header, testenv.Must[string](t)(dpop.Sign(key, dpop.Request{Method: method, URL: origin + target, Token: access}, nonce, time.Now())))
		return r
	}
	nonce := nonces.At(time.Now(), dpop.Field, bound)
	once := asks("POST", transfers, nonce)
	for _, test := range []struct {
		name   string
		r      *http.Request
		status int
		check  catalog.Check
	}{
		{"the call's own proof", once, 204, ""},
		{"the same again", once.Clone(once.Context()), 401, catalog.CheckProofNew},
		{"for another method", asks("GET", transfers, nonce), 401, catalog.CheckDPoP},
		{"for another path", asks("POST", transfers+"/1", nonce), 401, catalog.CheckDPoP},
		{"for the question", asks("GET", "/"+bound+"/check", nonce), 401, catalog.CheckDPoP},
		{"without a nonce", asks("POST", transfers, ""), 401, catalog.CheckDPoP},
	} {
		answer := w.do(test.r)
		if answer.Code != test.status || (answer.Header().Get(forwarded.Field) != "") != (test.status == 204) {
			t.Errorf("%s: %d %s", test.name, answer.Code, answer.Body)
		}
		if test.status == 401 && (w.refusedBy() != test.check || answer.Header().Get("WWW-Authenticate") == "" || answer.Header().Get(dpop.NonceField) != nonce) {
			t.Errorf("%s: by %s, %v", test.name, w.refusedBy(), answer.Header())
		}
	}
}

// TestSubrequestsOfSignedCalls are refused, whatever is asked: the body that is signed is not there, and
// the answer would be signed by nobody.
func TestSubrequestsOfSignedCalls(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, stage := range catalog.All() {
		if stage.Call.Sender != catalog.SignedMessages {
			continue
		}
		for _, path := range []string{"/v1/transfers", "/v1/rates"} {
			r := w.asks(w.request("POST", "", ""), "X-Original-Method", "POST", "X-Original-URI", "/"+stage.Slug+path)
			r.URL.Path = "/" + stage.Slug + "/check"
			if answer := w.do(r); answer.Code != 403 || !strings.Contains(answer.Body.String(), ":mediator-only") || !strings.Contains(answer.Body.String(), "through the mediator") {
				t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
			}
			if answer := w.do(r.WithContext(guard.WithListener(t.Context(), guard.TLS))); answer.Code != 404 {
				t.Errorf("an app asks: %d %s", answer.Code, answer.Body)
			}
		}
		return
	}
	t.Error("no stage has signed calls")
}
