package guard_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// endpoints is a holder before the endpoints of an authorization server: /par, and /token, which
// issues tokens.
type endpoints struct {
	*holder
	attester *ecdsa.PrivateKey
}

func newEndpoints(t testing.TB, stages catalog.Set) *endpoints {
	t.Helper()
	e := &endpoints{holder: newHolder(t, stages), attester: newKey(t)}
	e.open()
	return e
}

func (e *endpoints) open() {
	trusted := public(e, e.attester)
	e.config.Attested.Attester = func(id string) (jwk.Key, bool) { return trusted, id == "attester" }
	e.begin()
	for path, issues := range map[string]bool{"/par": false, "/token": true} {
		e.guard.Handle(e.echo, guard.Route{
			Method: http.MethodPost, Path: path, Scope: guard.AnyScope, Admission: true, Attested: true, Issues: issues, Refusals: problem.OAuth,
		}, func(c echo.Context, caller guard.Caller) error {
			return c.String(http.StatusCreated, caller.App()+"|"+caller.Attested().Device+"|"+caller.Thumbprint())
		})
	}
}

// attestation is a good one of the app, but for what is changed.
func (e *endpoints) attestation(change func(attester **ecdsa.PrivateKey, c *clientattestation.Claims)) string {
	e.Helper()
	now := e.clock.Now().Truncate(time.Second)
	by, claims := e.attester, clientattestation.Claims{ClientID: mobile, Issued: now, Expires: now.Add(time.Minute), Key: public(e, e.key), Device: "phone", Release: 3}
	if change != nil {
		change(&by, &claims)
	}
	text, err := clientattestation.Sign(by, "attester", claims)
	if err != nil {
		e.Fatal(err)
	}
	return text
}

func (e *endpoints) audience() string { return e.config.Attested.Audience(boundStage) }

func (e *endpoints) challenge() string {
	return e.config.Proofs.Nonces.At(e.clock.Now(), guard.ChallengePurpose, boundStage)
}

func (e *endpoints) pop(key *ecdsa.PrivateKey, audience, challenge string, at time.Time) string {
	e.Helper()
	text, err := clientattestation.SignPoP(key, audience, challenge, at)
	if err != nil {
		e.Fatal(err)
	}
	return text
}

// ask is a request with an attestation alone.
func (e *endpoints) ask(path string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/"+boundStage+path, nil)
	r.RemoteAddr = "203.0.113.7:4711"
	over(guard.TLS, nil)(r)
	clientattestation.Set(r.Header, e.attestation(nil))
	return r
}

func (e *endpoints) withPoP(r *http.Request) {
	clientattestation.SetPoP(r.Header, e.pop(e.key, e.audience(), e.challenge(), e.clock.Now()))
}

func (e *endpoints) withDPoP(r *http.Request) { e.prove(r, e.key, e.clock.Now()) }

// TestAttestedClients are the cases of the draft, as the server of npm answers them that speaks it, and
// some more. What a check refuses gets past it where that is switched off.
func TestAttestedClients(t *testing.T) {
	t.Parallel()
	type change = func(*endpoints, *http.Request)
	attested := func(change func(attester **ecdsa.PrivateKey, c *clientattestation.Claims)) change {
		return func(e *endpoints, r *http.Request) {
			clientattestation.Set(r.Header, e.attestation(change))
			e.withPoP(r)
		}
	}
	pop := func(make func(e *endpoints) string) change {
		return func(e *endpoints, r *http.Request) { clientattestation.SetPoP(r.Header, make(e)) }
	}
	as := func(claims map[string]any) change {
		return func(e *endpoints, r *http.Request) {
			now := e.clock.Now().Unix()
			all := map[string]any{"sub": mobile, "iat": now, "exp": now + 60, "cnf": map[string]any{"jwk": public(e, e.key)}, "device": "phone", "release": 3}
			for name, value := range claims {
				if all[name] = value; value == nil {
					delete(all, name)
				}
			}
			text, err := jwk.Sign(e.attester, map[string]any{"typ": clientattestation.Type, "kid": "attester"}, all)
			if err != nil {
				e.Fatal(err)
			}
			clientattestation.Set(r.Header, text)
			e.withPoP(r)
		}
	}
	for name, test := range map[string]struct {
		path   string
		change change
		status int
		err    string
		check  catalog.Check
	}{
		"a proof of its own":            {"/par", (*endpoints).withPoP, 201, "", ""},
		"the combined mode":             {"/par", (*endpoints).withDPoP, 201, "", ""},
		"both proofs":                   {"/par", func(e *endpoints, r *http.Request) { e.withPoP(r); e.withDPoP(r) }, 201, "", ""},
		"the combined mode, for tokens": {"/token", (*endpoints).withDPoP, 201, "", ""},
		"both proofs, for tokens":       {"/token", func(e *endpoints, r *http.Request) { e.withPoP(r); e.withDPoP(r) }, 201, "", ""},

		"no fields":     {"/par", func(_ *endpoints, r *http.Request) { r.Header.Del(clientattestation.Field) }, 401, "invalid_client", catalog.CheckAttested},
		"a proof alone": {"/par", func(e *endpoints, r *http.Request) { e.withPoP(r); r.Header.Del(clientattestation.Field) }, 401, "invalid_client", catalog.CheckAttested},
		"no proof":      {"/par", func(*endpoints, *http.Request) {}, 401, "invalid_client_attestation", catalog.CheckAttested},
		"a token in its place": {"/par", func(e *endpoints, r *http.Request) {
			r.Header.Del(clientattestation.Field)
			integrity.Set(r.Header, e.integrity)
			e.withDPoP(r)
		}, 401, "invalid_client", catalog.CheckAttested},
		"a token as the attestation": {"/par", func(e *endpoints, r *http.Request) {
			clientattestation.Set(r.Header, e.integrity)
			e.withPoP(r)
		}, 401, "invalid_client_attestation", catalog.CheckAttested},
		"two attestations": {"/par", func(e *endpoints, r *http.Request) {
			e.withPoP(r)
			r.Header.Add(clientattestation.Field, e.attestation(nil))
		}, 400, "invalid_request", catalog.CheckAttested},
		"two proofs": {"/par", func(e *endpoints, r *http.Request) {
			e.withPoP(r)
			r.Header.Add(clientattestation.PoPField, r.Header.Get(clientattestation.PoPField))
		}, 400, "invalid_request", catalog.CheckAttested},
		"of another attester":  {"/par", attested(func(by **ecdsa.PrivateKey, _ *clientattestation.Claims) { *by = newKey(t) }), 401, "invalid_client_attestation", catalog.CheckAttested},
		"of an unknown client": {"/par", attested(func(_ **ecdsa.PrivateKey, c *clientattestation.Claims) { c.ClientID = "nobody" }), 401, "invalid_client_attestation", catalog.CheckAttested},
		"expired":              {"/par", attested(func(_ **ecdsa.PrivateKey, c *clientattestation.Claims) { c.Expires = c.Issued }), 401, "invalid_client_attestation", catalog.CheckAttested},
		"without iat":          {"/par", as(map[string]any{"iat": nil}), 401, "invalid_client_attestation", catalog.CheckAttested},
		"without cnf":          {"/par", as(map[string]any{"cnf": nil}), 401, "invalid_client_attestation", catalog.CheckAttested},
		"wrong typ": {"/par", func(e *endpoints, r *http.Request) {
			e.withPoP(r)
			clientattestation.Set(r.Header, r.Header.Get(clientattestation.PoPField))
		}, 401, "invalid_client_attestation", catalog.CheckAttested},
		"a proof without a challenge": {"/par", pop(func(e *endpoints) string { return e.pop(e.key, e.audience(), "", e.clock.Now()) }), 400, "use_attestation_challenge", catalog.CheckAttested},
		"with a nonce of DPoP as the challenge": {
			"/par", pop(func(e *endpoints) string { return e.pop(e.key, e.audience(), e.nonce, e.clock.Now()) }),
			400, "use_attestation_challenge", catalog.CheckAttested,
		},
		"for another server": {
			"/par", pop(func(e *endpoints) string { return e.pop(e.key, "https://elsewhere", e.challenge(), e.clock.Now()) }),
			401, "invalid_client_attestation", catalog.CheckAttested,
		},
		"with another key": {
			"/par", pop(func(e *endpoints) string { return e.pop(newKey(e), e.audience(), e.challenge(), e.clock.Now()) }),
			401, "invalid_client_attestation", catalog.CheckAttested,
		},
		"too old": {"/par", pop(func(e *endpoints) string {
			return e.pop(e.key, e.audience(), e.challenge(), e.clock.Now().Add(-guard.ProofSkew-2*time.Second))
		}), 401, "invalid_client_attestation", catalog.CheckAttested},
		"the combined mode without a nonce": {"/par", func(e *endpoints, r *http.Request) {
			e.proveAs(r, e.target(r), e.key, "", e.clock.Now())
		}, 400, "use_dpop_nonce", catalog.CheckDPoP},
		"the combined mode with another key": {
			"/par", func(e *endpoints, r *http.Request) { e.prove(r, newKey(e), e.clock.Now()) },
			401, "invalid_client_attestation", catalog.CheckDPoP,
		},
		"both proofs, of two keys": {
			"/par", func(e *endpoints, r *http.Request) { e.withPoP(r); e.prove(r, newKey(e), e.clock.Now()) },
			401, "invalid_client_attestation", catalog.CheckDPoP,
		},
		"a spoilt DPoP proof": {"/par", func(e *endpoints, r *http.Request) {
			target := e.target(r)
			target.Method = http.MethodGet
			e.proveAs(r, target, e.key, e.nonce, e.clock.Now())
		}, 400, "invalid_dpop_proof", catalog.CheckDPoP},
		"no DPoP proof, for tokens": {"/token", (*endpoints).withPoP, 400, "invalid_dpop_proof", catalog.CheckDPoP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoints(t, catalog.All())
			r := e.ask(test.path)
			test.change(e, r)
			sent := r.Clone(r.Context())
			answer, verdict := e.do(r)
			if answer.Code != test.status || verdict.Check != test.check && test.err != "" {
				t.Fatalf("%d %s; %+v", answer.Code, answer.Body, verdict)
			}
			if test.err == "" {
				if want := mobile + "|phone|" + public(t, e.key).Thumbprint(); answer.Body.String() != want {
					t.Errorf("it is for %s, want %s", answer.Body, want)
				}
				return
			}
			var told struct{ Error string }
			if json.Unmarshal(answer.Body.Bytes(), &told) != nil || told.Error != test.err {
				t.Errorf("the client is told %s", answer.Body)
			}
			if (test.status == http.StatusUnauthorized) != (answer.Header().Get("WWW-Authenticate") == clientattestation.Field) {
				t.Errorf("the challenge is %q", answer.Header().Values("WWW-Authenticate"))
			}
			if given := answer.Header().Values(clientattestation.ChallengeField); test.err == clientattestation.UseChallenge && (len(given) != 1 || given[0] != e.challenge()) {
				t.Errorf("the challenges are %q", given)
			}
			if given := answer.Header().Values(dpop.NonceField); test.err == dpop.UseNonce && (len(given) != 1 || given[0] != e.nonce) {
				t.Errorf("the nonces are %q", given)
			}
			e.config.Stages = catalog.All().WithoutCheck(boundStage, test.check)
			e.open()
			if _, now := e.do(sent); now.Check == test.check && !now.Allowed {
				t.Errorf("without the check: %+v", now)
			}
		})
	}
}

// TestProofsOfAttestationsAreGoodOnce, whichever they are, and one that is refused is not used up.
func TestProofsOfAttestationsAreGoodOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		with   func(*endpoints, *http.Request)
		status int
	}{
		"a proof of its own": {(*endpoints).withPoP, 401}, "the combined mode": {(*endpoints).withDPoP, 400},
	} {
		e := newEndpoints(t, catalog.All())
		r := e.ask("/par")
		test.with(e, r)
		refused := r.Clone(r.Context())
		clientattestation.Set(refused.Header, e.attestation(func(by **ecdsa.PrivateKey, _ *clientattestation.Claims) { *by = newKey(t) }))
		for i, step := range []struct {
			request *http.Request
			status  int
			check   catalog.Check
		}{{refused, 401, catalog.CheckAttested}, {r.Clone(r.Context()), 201, ""}, {r.Clone(r.Context()), test.status, catalog.CheckProofNew}} {
			if answer, verdict := e.do(step.request); answer.Code != step.status || step.check != "" && verdict.Check != step.check {
				t.Errorf("%s, request %d: %d %s; %+v", name, i, answer.Code, answer.Body, verdict)
			}
		}
	}
}

// TestAttestationsOfRevokedClients are not good, whatever the attester says.
func TestAttestationsOfRevokedClients(t *testing.T) {
	t.Parallel()
	e := newEndpoints(t, catalog.All())
	if _, err := e.apps.Revoke(t.Context(), servers(mobile)); err != nil {
		t.Fatal(err)
	}
	r := e.ask("/par")
	e.withPoP(r)
	if answer, verdict := e.do(r); answer.Code != http.StatusUnauthorized || verdict.Check != catalog.CheckAttested {
		t.Errorf("%d %s; %+v", answer.Code, answer.Body, verdict)
	}
}

// TestEndpointsBeforeKeys: where clients show their client integrity token to OAuth's endpoints, and
// tokens are bound to a key, that takes a DPoP proof with its key.
func TestEndpointsBeforeKeys(t *testing.T) {
	t.Parallel()
	e := newEndpoints(t, catalog.All().With(boundStage, func(p *catalog.Policies) {
		p.Call.ClientAuth, p.Auth.ClientAuth = catalog.ByIntegrity, catalog.ByIntegrity
	}))
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
		check  catalog.Check
	}{
		"both":        {func(r *http.Request) { e.withDPoP(r) }, 201, ""},
		"no proof":    {func(*http.Request) {}, 400, catalog.CheckDPoP},
		"another key": {func(r *http.Request) { e.prove(r, newKey(t), e.clock.Now()) }, 400, catalog.CheckDPoP},
		"no token":    {func(r *http.Request) { e.withDPoP(r); r.Header.Del(integrity.Field) }, 401, catalog.CheckIntegrity},
		"a token of no key": {func(r *http.Request) {
			e.withDPoP(r)
			integrity.Set(r.Header, e.attestedAt(boundStage, mobile, func(_ *token.Key, c *integrity.Claims) { c.Device = "phone" }))
		}, 401, catalog.CheckDPoP},
	} {
		r := e.ask("/token")
		r.Header.Del(clientattestation.Field)
		integrity.Set(r.Header, e.integrity)
		test.change(r)
		if answer, verdict := e.do(r); answer.Code != test.status || test.check != "" && verdict.Check != test.check {
			t.Errorf("%s: %d %s; %+v", name, answer.Code, answer.Body, verdict)
		}
	}
}
