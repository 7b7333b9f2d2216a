package guard_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/dpop/dpoptest"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/replay"
	"keyladder/stages/mechanism/servernonce"
	"keyladder/stages/mechanism/token"
)

const boundStage = "device-bound"

// holder is a device with a key, and what the app on it has.
type holder struct {
	*world
	key               *ecdsa.PrivateKey
	access, integrity string
	nonce             string
	config            guard.Config
}

// newHolder makes a gateway's guard, and an app on a device before it.
func newHolder(t testing.TB, stages catalog.Set) *holder {
	t.Helper()
	w := newWorld(t, stages)
	w.rotate(servers(mobile))
	h := &holder{world: w, key: newKey(t)}
	h.config = guard.Config{
		Stages: stages, Gateway: true, Issued: w.config.Issued, Attested: w.config.Attested, Usage: guard.Uncounted{}, Log: w.log, Now: w.clock.Now,
		Host: host, Port: port, Address: guard.Limit{PerSecond: 10_000, Burst: 10_000},
		Proofs: &guard.Proofs{
			Nonces: &servernonce.Source{Key: bytes.Repeat([]byte("n"), 32), Slot: time.Hour}, Memory: guard.ProofMemory(nil, w.clock.Now()),
			Responses: newKey(t),
		},
	}
	h.begin()
	h.access, h.integrity = h.token(h.key, "phone"), h.attestedTo(h.key, "phone")
	h.nonce = h.config.Proofs.Nonces.At(w.clock.Now(), dpop.Field, boundStage)
	return h
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t testing.TB, key *ecdsa.PrivateKey) jwk.Key {
	t.Helper()
	of, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// begin makes the guard, with routes.
func (h *holder) begin() {
	h.Helper()
	h.beginEmpty()
	for _, route := range []guard.Route{
		{Method: http.MethodGet, Path: "/v1/accounts", Scope: "accounts:read"},
		{Method: http.MethodPost, Path: "/v1/transfers", Scope: "transfers:write"},
		{Method: http.MethodGet, Path: "/v1/rates", Scope: "rates:read", User: guard.NobodyNeeded},
	} {
		h.guard.Handle(h.echo, route, func(c echo.Context, caller guard.Caller) error {
			return c.String(http.StatusOK, caller.App()+"|"+caller.User()+"|"+caller.Thumbprint())
		})
	}
}

// beginEmpty makes the guard, without any.
func (h *holder) beginEmpty() {
	h.Helper()
	g, err := guard.New(h.config)
	if err != nil {
		h.Fatal(err)
	}
	h.guard, h.echo = g, echo.New()
	h.echo.HTTPErrorHandler = problem.Handler(func(error) {})
	h.echo.Use(g.Middleware)
}

// token is an access token that is bound to a key and a device; without a key to none.
func (h *holder) token(key *ecdsa.PrivateKey, device string) string {
	h.Helper()
	grant := tokens.Grant{Stage: boundStage, User: "alice", Client: mobile, Scope: "rates:read accounts:read transfers:write", Device: device}
	if key != nil {
		grant.Thumbprint = public(h, key).Thumbprint()
	}
	issued, err := h.tokens.Issue(h.Context(), h.clock.Now(), grant)
	if err != nil {
		h.Fatal(err)
	}
	return issued.Text
}

func (h *holder) attestedTo(key *ecdsa.PrivateKey, device string) string {
	h.Helper()
	return h.attestedAt(boundStage, mobile, func(_ *token.Key, c *integrity.Claims) {
		if c.Device = device; key != nil {
			c.Key = public(h, key)
		}
	})
}

// call is a good one, as alice.
func (h *holder) call(method, path string) *http.Request {
	h.Helper()
	r := httptest.NewRequest(method, "/"+boundStage+path, nil)
	r.Header.Set("User-Agent", "HarbourBank/1.0")
	r.RemoteAddr = "203.0.113.7:4711"
	over(guard.TLS, nil)(r)
	integrity.Set(r.Header, h.integrity)
	token.SetBound(r.Header, h.access)
	h.prove(r, h.key, h.clock.Now())
	return r
}

func (h *holder) target(r *http.Request) dpop.Request {
	_, access, _ := token.Shown(r.Header)
	return dpop.Request{Method: r.Method, URL: "https://" + host + ":8443" + r.URL.Path, Token: access}
}

// prove gives a request a proof for the tokens that it carries.
func (h *holder) prove(r *http.Request, key *ecdsa.PrivateKey, at time.Time) {
	h.Helper()
	h.proveAs(r, h.target(r), key, h.nonce, at)
}

func (h *holder) proveAs(r *http.Request, target dpop.Request, key *ecdsa.PrivateKey, nonce string, at time.Time) {
	h.Helper()
	text, err := dpop.Sign(key, target, nonce, at)
	if err != nil {
		h.Fatal(err)
	}
	dpop.Set(r.Header, text)
}

// TestProofsOfSenders: what proves that the sender has the key that both tokens are bound to, and
// what does not. What a check refuses gets past it where that is switched off.
func TestProofsOfSenders(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path   string
		spoil  func(*holder, *http.Request)
		status int
		check  catalog.Check
		kind   string
	}{
		"a good one":               {"/v1/accounts", func(*holder, *http.Request) {}, 200, "", ""},
		"public data":              {"/v1/rates", func(h *holder, r *http.Request) { r.Header.Del("Authorization"); h.prove(r, h.key, h.clock.Now()) }, 200, "", ""},
		"public data with a token": {"/v1/rates", func(*holder, *http.Request) {}, 200, "", ""},
		"a query":                  {"/v1/accounts?limit=1", func(*holder, *http.Request) {}, 200, "", ""},
		"the scheme in small letters": {"/v1/accounts", func(h *holder, r *http.Request) {
			r.Header.Set("Authorization", "dpop "+h.access)
		}, 200, "", ""},
		"no proof":                 {"/v1/accounts", func(_ *holder, r *http.Request) { r.Header.Del(dpop.Field) }, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"no proof for public data": {"/v1/rates", func(_ *holder, r *http.Request) { r.Header.Del(dpop.Field); r.Header.Del("Authorization") }, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"no proof, and Bearer":     {"/v1/accounts", func(h *holder, r *http.Request) { r.Header.Del(dpop.Field); token.Set(r.Header, h.access) }, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"two proofs":               {"/v1/accounts", func(_ *holder, r *http.Request) { r.Header.Add(dpop.Field, r.Header.Get(dpop.Field)) }, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"for another method": {"/v1/accounts", func(h *holder, r *http.Request) {
			target := h.target(r)
			target.Method = http.MethodPost
			h.proveAs(r, target, h.key, h.nonce, h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"for another path": {"/v1/accounts", func(h *holder, r *http.Request) {
			target := h.target(r)
			target.URL += "/1"
			h.proveAs(r, target, h.key, h.nonce, h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"for another host, which the Host field names": {"/v1/accounts", func(h *holder, r *http.Request) {
			target := h.target(r)
			r.Host, target.URL = "elsewhere.test", "https://elsewhere.test"+r.URL.Path
			h.proveAs(r, target, h.key, h.nonce, h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"for another access token": {"/v1/accounts", func(h *holder, r *http.Request) {
			target := h.target(r)
			target.Token = h.token(h.key, "phone")
			h.proveAs(r, target, h.key, h.nonce, h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"for no access token": {"/v1/accounts", func(h *holder, r *http.Request) {
			target := h.target(r)
			target.Token = ""
			h.proveAs(r, target, h.key, h.nonce, h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"too old":       {"/v1/accounts", func(h *holder, r *http.Request) { h.prove(r, h.key, h.clock.Now().Add(-62*time.Second)) }, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"an hour ahead": {"/v1/accounts", func(h *holder, r *http.Request) { h.prove(r, h.key, h.clock.Now().Add(time.Hour)) }, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"no nonce": {"/v1/accounts", func(h *holder, r *http.Request) {
			h.proveAs(r, h.target(r), h.key, "", h.clock.Now())
		}, 401, catalog.CheckDPoP, "use-dpop-nonce"},
		"the nonce of another stage": {"/v1/accounts", func(h *holder, r *http.Request) {
			h.proveAs(r, h.target(r), h.key, h.config.Proofs.Nonces.At(h.clock.Now(), dpop.Field, forwardedStage), h.clock.Now())
		}, 401, catalog.CheckDPoP, "use-dpop-nonce"},
		"both tokens lifted, and a key of one's own": {"/v1/accounts", func(h *holder, r *http.Request) {
			h.prove(r, newKey(h), h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"the client integrity token lifted, for public data": {"/v1/rates", func(h *holder, r *http.Request) {
			r.Header.Del("Authorization")
			h.prove(r, newKey(h), h.clock.Now())
		}, 401, catalog.CheckDPoP, "invalid-dpop-proof"},
		"a client integrity token of no key": {"/v1/accounts", func(h *holder, r *http.Request) {
			integrity.Set(r.Header, h.attestedTo(nil, "phone"))
		}, 401, catalog.CheckDPoP, "integrity-not-accepted"},
		"an access token lifted, with one's own client integrity token": {"/v1/accounts", func(h *holder, r *http.Request) {
			own := newKey(h)
			integrity.Set(r.Header, h.attestedTo(own, "phone"))
			h.prove(r, own, h.clock.Now())
		}, 401, catalog.CheckBinding, "token-not-accepted"},
		"of another device": {"/v1/accounts", func(h *holder, r *http.Request) {
			integrity.Set(r.Header, h.attestedTo(h.key, "tablet"))
		}, 401, catalog.CheckBinding, "token-not-accepted"},
		"a bound token as Bearer": {"/v1/accounts", func(h *holder, r *http.Request) {
			token.Set(r.Header, h.access)
			h.prove(r, h.key, h.clock.Now())
		}, 401, catalog.CheckToken, "token-not-accepted"},
		"an unbound token as DPoP": {"/v1/accounts", func(h *holder, r *http.Request) {
			token.SetBound(r.Header, h.token(nil, "phone"))
			h.prove(r, h.key, h.clock.Now())
		}, 401, catalog.CheckToken, "token-not-accepted"},
		"an unbound token as Bearer": {"/v1/accounts", func(h *holder, r *http.Request) {
			token.Set(r.Header, h.token(nil, "phone"))
			h.prove(r, h.key, h.clock.Now())
		}, 401, catalog.CheckBinding, "token-not-accepted"},
		"both schemes": {"/v1/accounts", func(h *holder, r *http.Request) {
			r.Header.Add("Authorization", "Bearer "+h.access)
		}, 400, catalog.CheckDPoP, "bad-request"},
		"no access token": {"/v1/accounts", func(h *holder, r *http.Request) {
			r.Header.Del("Authorization")
			h.prove(r, h.key, h.clock.Now())
		}, 401, catalog.CheckToken, "token-missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHolder(t, catalog.All())
			r := h.call(http.MethodGet, test.path)
			test.spoil(h, r)
			sent := r.Clone(r.Context())
			answer, verdict := h.do(r)
			if answer.Code != test.status || test.status != 200 && (verdict.Check != test.check || kindOf(answer) != test.kind) {
				t.Fatalf("%d %s; %+v", answer.Code, answer.Body, verdict)
			}
			if test.status == 200 {
				if !strings.HasSuffix(answer.Body.String(), "|"+public(t, h.key).Thumbprint()) {
					t.Errorf("it is for %s", answer.Body)
				}
				return
			}
			challenge := answer.Header().Get("WWW-Authenticate")
			if test.kind != "integrity-not-accepted" && (!strings.HasPrefix(challenge, "DPoP realm=") || !strings.Contains(challenge, `algs="ES256"`)) {
				t.Errorf("the challenge is %s", challenge)
			}
			if given := answer.Header().Values(dpop.NonceField); strings.HasSuffix(test.kind, "dpop-proof") || test.kind == "use-dpop-nonce" {
				if len(given) != 1 || given[0] != h.nonce || answer.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("the nonces are %q", given)
				}
			}
			h.config.Stages = catalog.All().WithoutCheck(boundStage, test.check)
			h.begin()
			if _, now := h.do(sent); now.Check == test.check && !now.Allowed {
				t.Errorf("without the check: %+v", now)
			}
		})
	}
}

// TestNegativeCases shows the guard what a verifier alone is tested with (package dpop).
func TestNegativeCases(t *testing.T) {
	t.Parallel()
	h := newHolder(t, catalog.All())
	h.config.Port = 443
	h.begin()
	h.clock.now = h.clock.now.Truncate(time.Second)
	for _, test := range dpoptest.Cases(t) {
		r := h.call(http.MethodGet, "/v1/rates")
		m := dpoptest.Good(t, h.key, dpop.Request{Method: r.Method, URL: "https://" + host + r.URL.Path, Token: h.access}, h.nonce, h.clock.now)
		test.Change(m)
		if m.Request.Token == "" {
			r.Header.Del("Authorization")
		}
		r.Header.Del(dpop.Field)
		maps.Copy(r.Header, m.Fields(t))
		answer, verdict := h.do(r)
		if test.Want == nil {
			if answer.Code != http.StatusOK {
				t.Errorf("%s: %d; %+v", test.Name, answer.Code, verdict)
			}
			continue
		}
		kind, code := "invalid-dpop-proof", dpop.InvalidProof
		if errors.Is(test.Want, dpop.ErrNonce) {
			kind, code = "use-dpop-nonce", dpop.UseNonce
		}
		challenge := answer.Header().Get("WWW-Authenticate")
		if answer.Code != http.StatusUnauthorized || verdict.Check != catalog.CheckDPoP || kindOf(answer) != kind {
			t.Errorf("%s: %d %s; %+v", test.Name, answer.Code, kindOf(answer), verdict)
		}
		if !strings.HasPrefix(challenge, "DPoP realm=") || !strings.Contains(challenge, `error="`+code+`"`) || !strings.Contains(challenge, `algs="ES256"`) || answer.Header().Get(dpop.NonceField) != h.nonce {
			t.Errorf("%s: the challenge is %s, with %v", test.Name, challenge, answer.Header())
		}
	}
}

// TestProofsAreGoodOnce, until nothing would accept them any more: at both ends of what clocks may be
// apart.
func TestProofsAreGoodOnce(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"a clock that is right": 0, "a fast one": guard.ProofSkew, "a slow one": -guard.ProofSkew} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHolder(t, catalog.All())
			h.clock.now = h.clock.now.Truncate(time.Second)
			made := h.clock.now.Add(ahead)
			r := h.call(http.MethodGet, "/v1/rates")
			r.Header.Del("Authorization")
			h.prove(r, h.key, made)
			if answer, verdict := h.do(r.Clone(r.Context())); answer.Code != http.StatusOK {
				t.Fatalf("%d; %+v", answer.Code, verdict)
			}
			again := func() catalog.Check {
				integrity.Set(r.Header, h.attestedTo(h.key, "phone")) // else it expires before the proof does
				answer, verdict := h.do(r.Clone(r.Context()))
				if answer.Code != http.StatusUnauthorized || kindOf(answer) != "invalid-dpop-proof" {
					t.Fatalf("%s after the first: %d; %+v", h.clock.now.Sub(made), answer.Code, verdict)
				}
				return verdict.Check
			}
			for end := made.Add(guard.ProofSkew); !h.clock.now.After(end); h.clock.advance(time.Second) {
				if check := again(); check != catalog.CheckProofNew {
					t.Fatalf("%s after it was made it is refused by %s", h.clock.now.Sub(made), check)
				}
			}
			if check := again(); check != catalog.CheckDPoP {
				t.Errorf("after its time it is refused by %s", check)
			}
			if n := h.config.Proofs.Memory.Len(h.clock.now); n != 0 {
				t.Errorf("%d proofs are still remembered", n)
			}
		})
	}
}

// TestProofsOfManyAtOnce: an honest client's calls are all served, with one nonce, and of many copies
// of one call one is.
func TestProofsOfManyAtOnce(t *testing.T) {
	t.Parallel()
	h := newHolder(t, catalog.All())
	served := func(calls []*http.Request) (n int) {
		var wait sync.WaitGroup
		codes := make(chan int, len(calls))
		for _, r := range calls {
			wait.Go(func() {
				answer := httptest.NewRecorder()
				h.echo.ServeHTTP(answer, r)
				codes <- answer.Code
			})
		}
		wait.Wait()
		close(codes)
		for code := range codes {
			if code == http.StatusOK {
				n++
			}
		}
		return n
	}
	var different, copies []*http.Request
	for range 50 {
		different = append(different, h.call(http.MethodGet, "/v1/accounts"))
	}
	if n := served(different); n != 50 {
		t.Errorf("%d of 50 calls are served", n)
	}
	one := h.call(http.MethodPost, "/v1/transfers")
	for range 20 {
		copies = append(copies, one.Clone(one.Context()))
	}
	if n := served(copies); n != 1 {
		t.Errorf("%d of 20 copies are served", n)
	}
	h.config.Stages = catalog.All().WithoutCheck(boundStage, catalog.CheckProofNew)
	h.begin()
	if n := served(slices.Clone(copies)); n != 20 {
		t.Errorf("without the check %d of 20 copies are served", n)
	}
}

// TestNextNonces: who uses a nonce that is not the newest gets that with the answer, and until then the
// old one is good.
func TestNextNonces(t *testing.T) {
	t.Parallel()
	h := newHolder(t, catalog.All())
	h.clock.now = h.clock.now.Truncate(2 * time.Minute)
	h.config.Proofs.Nonces.Slot = time.Minute
	h.begin()
	h.nonce = h.config.Proofs.Nonces.At(h.clock.now, dpop.Field, boundStage)
	for i, want := range []struct {
		status int
		given  bool
	}{{200, false}, {200, true}, {401, true}} {
		h.integrity, h.access = h.attestedTo(h.key, "phone"), h.token(h.key, "phone")
		answer, verdict := h.do(h.call(http.MethodGet, "/v1/accounts"))
		given := answer.Header().Get(dpop.NonceField)
		if answer.Code != want.status || (given != "") != want.given || given == h.nonce {
			t.Errorf("after %d minutes: %d, %q; %+v", i, answer.Code, given, verdict)
		}
		h.clock.advance(time.Minute)
	}
}

// TestNoMemoryForProofs: what could be sent twice is not served, and a guard that would is not made.
func TestNoMemoryForProofs(t *testing.T) {
	t.Parallel()
	h := newHolder(t, catalog.All())
	good := *h.config.Proofs
	short := replay.New(replay.Config{Skew: guard.ProofSkew - time.Second, Limit: 10})
	for name, proofs := range map[string]*guard.Proofs{
		"nothing": nil, "no memory": {Nonces: good.Nonces}, "one that forgets": {Nonces: good.Nonces, Memory: short}, "no nonces": {Memory: good.Memory},
	} {
		h.config.Proofs = proofs
		if _, err := guard.New(h.config); err == nil || !strings.Contains(err.Error(), "stage "+boundStage+": call.sender: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.config.Proofs, h.config.Stages = nil, withGateway()
	if _, err := guard.New(h.config); err != nil {
		t.Errorf("where no stage asks for proofs: %v", err)
	}
	direct := catalog.All().With(boundStage, func(p *catalog.Policies) { p.Call.Gateway = catalog.Direct })
	h.world.config.Stages = direct
	if _, err := guard.New(h.world.config); err == nil || !strings.Contains(err.Error(), "call.sender") {
		t.Errorf("an API without a gateway: %v", err)
	}
	full := guard.Proofs{Nonces: good.Nonces, Responses: good.Responses, Memory: replay.New(replay.Config{Skew: guard.ProofSkew, Limit: 1})}
	h.config.Proofs, h.config.Stages = &full, catalog.All()
	h.begin()
	for i, want := range []int{200, 503} {
		if answer, verdict := h.do(h.call(http.MethodGet, "/v1/accounts")); answer.Code != want || want == 503 && verdict.Check != catalog.CheckProofNew {
			t.Errorf("call %d: %d; %+v", i, answer.Code, verdict)
		}
	}
}

// TestProofsOutliveTheirServer: one that begins anew refuses what the one before it may have served.
func TestProofsOutliveTheirServer(t *testing.T) {
	t.Parallel()
	h := newHolder(t, catalog.All())
	var written time.Time
	mark := func(resumed bool) *replay.Mark {
		return replay.NewMark(replay.MarkConfig{Resumed: resumed, Before: written, Skew: guard.ProofSkew, Write: func(at time.Time) error {
			written = at
			return nil
		}})
	}
	h.config.Proofs.Memory = guard.ProofMemory(mark(false), h.clock.Now())
	h.begin()
	r := h.call(http.MethodGet, "/v1/accounts")
	h.prove(r, h.key, h.clock.Now().Add(50*time.Second)) // its clock is fast
	if answer, verdict := h.do(r.Clone(r.Context())); answer.Code != http.StatusOK {
		t.Fatalf("%d; %+v", answer.Code, verdict)
	}
	h.config.Proofs.Memory = guard.ProofMemory(mark(true), h.clock.Now())
	h.begin()
	if answer, verdict := h.do(r.Clone(r.Context())); answer.Code != http.StatusUnauthorized || verdict.Check != catalog.CheckProofNew {
		t.Errorf("again at the next server: %d; %+v", answer.Code, verdict)
	}
}
