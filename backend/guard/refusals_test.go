package guard_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/backend/guard"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/clientcert"
)

// refusal is a call that a check has to refuse.
type refusal struct {
	name   string
	stage  string
	spoil  func(w *world) func(*http.Request)
	check  catalog.Check
	status int
	kind   string
	off    func(*catalog.Policies) // nil: nothing switches it off
}

// challenges are the schemes that 401s ask for.
var challenges = map[catalog.Check]map[int]string{
	"app-key": {401: "key"}, "hawk": {401: "Hawk"}, "signed-fields": {401: "Hawk"}, "nonce": {401: "Hawk"}, "sign-in": {401: "Basic"}, "session": {401: "Session"}, "binding": {401: "Session"},
	"access-token": {400: "Bearer", 401: "Bearer"}, "revoked": {401: "Bearer"},
}

// declared are the stages with one that is not built.
func declared() catalog.Set { return catalog.All().Unbuilt(signedStage) }

// refusals are, for each check, calls that it has to refuse, and the policy's way to
// switch it off, with which the same call gets through.
var refusals = []refusal{
	{"unknown stage", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path = "/no-such-stage/v1/accounts" }
	}, "stage", 404, "no-such-stage", nil},
	{"no stage", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path = "/" }
	}, "stage", 404, "no-such-stage", nil},
	{"stage in capitals", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path = "/APP-ID/v1/accounts" }
	}, "stage", 404, "no-such-stage", nil},
	{"stage encoded", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawPath = "/app%2Did/v1/accounts" }
	}, "stage", 404, "no-such-stage", nil},
	{"stage not built", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path = "/signed-calls/v1/accounts" }
	}, "stage", 501, "stage-not-built", nil},
	{"unknown listener", "app-id", func(*world) func(*http.Request) {
		return over("", nil)
	}, "transport", 403, "not-allowed", nil},
	{"plain HTTP", "tls", func(*world) func(*http.Request) {
		return over(guard.Plain, nil)
	}, "transport", 403, "tls-required", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }},
	{"plain HTTP with a certificate in a field", "pinned-mtls", func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			over(guard.Plain, nil)(r)
			r.Header.Set(clientcert.Field, clientcert.Encode(w.clients[mobile].Raw))
			r.Header.Set("X-Forwarded-Proto", "https")
		}
	}, "transport", 403, "tls-required", func(p *catalog.Policies) { p.Call.Transport, p.Call.Pins = catalog.PlainHTTP, catalog.NotPinned }},
	{"browser", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("User-Agent", "curl/8.5.0") }
	}, "user-agent", 403, "user-agent-not-accepted", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent }},
	{"no user agent", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("User-Agent") }
	}, "user-agent", 403, "user-agent-not-accepted", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent }},
	{"app's name, but not first", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("User-Agent", "curl HarbourBank/1.0") }
	}, "user-agent", 403, "user-agent-not-accepted", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent }},
	{"app's name, but longer", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("User-Agent", "HarbourBankX/1.0") }
	}, "user-agent", 403, "user-agent-not-accepted", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent }},
	{"too many calls from an address", "app-id", func(w *world) func(*http.Request) {
		for range guard.DefaultAddressLimit.Burst {
			w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
		}
		return func(*http.Request) {}
	}, "address-limit", 429, "rate-limited", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }},
	{"terminator names no address", "app-id", func(*world) func(*http.Request) {
		return over(guard.Terminated, nil)
	}, "address-limit", 400, "bad-request", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }},
	{"terminator names two addresses", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			over(guard.Terminated, nil)(r)
			r.Header.Set("X-Forwarded-For", "192.0.2.1, 203.0.113.7")
		}
	}, "address-limit", 400, "bad-request", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }},
	{"terminator names two addresses, in two fields", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			over(guard.Terminated, nil)(r)
			r.Header["X-Forwarded-For"] = []string{"192.0.2.1", "203.0.113.7"}
		}
	}, "address-limit", 400, "bad-request", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }},
	{"body too large", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", guard.MaxBody+1))), guard.MaxBody+1
		}
	}, "body", 413, "too-large", nil},
	{"body too large, of unknown length", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", guard.MaxBody+1))), -1
		}
	}, "body", 413, "too-large", nil},
	{"body in a content coding", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
	}, "body", 415, "content-coding", nil},
	{"body in a content coding after identity", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Encoding"] = []string{"identity", "Identity, br"} }
	}, "body", 415, "content-coding", nil},
	{"body that ends early", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{})), 10
		}
	}, "body", 400, "bad-request", nil},
	{"no client certificate", "pinned-mtls", func(*world) func(*http.Request) {
		return over(guard.TLS, nil)
	}, "client-certificate", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"no client certificate, and an unknown key", "pinned-mtls", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			over(guard.TLS, nil)(r)
			appkey.Set(r.Header, "Authorization", "invented")
		}
	}, "client-certificate", 403, "client-certificate-required", nil},
	{"certificate in a field past the terminator", "pinned-mtls", func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			over(guard.TLS, nil)(r)
			r.Header.Set(clientcert.Field, clientcert.Encode(w.clients[mobile].Raw))
		}
	}, "client-certificate", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"certificate shown, but not verified", "pinned-mtls", func(w *world) func(*http.Request) {
		return func(r *http.Request) { r.TLS.VerifiedChains = nil }
	}, "client-certificate", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"certificate expired meanwhile", "pinned-mtls", func(w *world) func(*http.Request) {
		w.clock.advance(pki.Lifetime + time.Hour)
		return func(*http.Request) {}
	}, "client-certificate", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"certificate from a stranger, passed on by the terminator", "pinned-mtls", func(w *world) func(*http.Request) {
		return terminated(strangersCertificate(w))
	}, "client-certificate", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"terminator passes on two certificates", "pinned-mtls", func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			terminated(w.clients[mobile])(r)
			r.Header.Add(clientcert.Field, clientcert.Encode(w.clients[kiosk].Raw))
		}
	}, "client-certificate", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"certificate of another app", "pinned-mtls", func(w *world) func(*http.Request) {
		return over(guard.TLS, w.clients[kiosk])
	}, "certificate-of-app", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"certificate of another app, passed on by the terminator", "pinned-mtls", func(w *world) func(*http.Request) {
		return terminated(w.clients[kiosk])
	}, "certificate-of-app", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},
	{"key in the URL", "tls", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Authorization")
			appkey.SetQuery(r, mobile)
		}
	}, "key-in-url", 400, "key-in-url", func(p *catalog.Policies) { p.API.KeyInURL = catalog.KeyInURLAccepted }},
	{"unknown key in the URL beside a good one", "tls", func(*world) func(*http.Request) {
		return func(r *http.Request) { appkey.SetQuery(r, "invented") }
	}, "key-in-url", 400, "key-in-url", nil},
	{"no key", "tls", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Authorization") }
	}, "app-key", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"unknown key", "tls", func(*world) func(*http.Request) {
		return setKey("invented")
	}, "app-key", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"unknown key with a good certificate", "pinned-mtls", func(*world) func(*http.Request) {
		return setKey("invented")
	}, "app-key", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"key in other case", "tls", func(*world) func(*http.Request) {
		return setKey("Harbour-Mobile")
	}, "app-key", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"revoked key", "tls", func(w *world) func(*http.Request) {
		if _, err := w.apps.Revoke(context.Background(), mobile); err != nil {
			w.Fatal(err)
		}
		return func(*http.Request) {}
	}, "app-key", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"two Authorization fields", "tls", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", "key "+mobile) }
	}, "app-key", 400, "bad-request", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"two keys in the URL", "app-id", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "key=" + mobile + "&key=" + mobile
		}
	}, "app-key", 400, "bad-request", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }},
	{"too many calls by an app", "app-id", func(w *world) func(*http.Request) {
		one, perSecond := 1, 1.0
		if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &one}); err != nil {
			w.Fatal(err)
		}
		w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
		return func(*http.Request) {}
	}, "app-limit", 429, "rate-limited", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }},
	{"app without the scope", "tls", func(*world) func(*http.Request) {
		return setKey(kiosk)
	}, "scope", 403, "not-allowed", func(p *catalog.Policies) { p.API.Authorization = catalog.NotAuthorized }},
}

type failing struct{}

func terminated(certificate *x509.Certificate) func(*http.Request) {
	return func(r *http.Request) {
		over(guard.Terminated, nil)(r)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		clientcert.Forward(r.Header, certificate)
	}
}

func strangersCertificate(w *world) *x509.Certificate {
	ca, err := pki.NewCA("apps") // of the same name
	if err != nil {
		w.Fatal(err)
	}
	return issue(w, ca, mobile)
}

// issue makes a certificate that nobody has registered.
func issue(w *world, ca *pki.CA, id string) *x509.Certificate {
	pair, err := ca.Client(id)
	if err != nil {
		w.Fatal(err)
	}
	certificate, err := pki.Certificate(pair.Certificate)
	if err != nil {
		w.Fatal(err)
	}
	return certificate
}

func TestChecksRefuse(t *testing.T) {
	t.Parallel()
	covered := map[catalog.Check]bool{
		// They have their own: TestNobodyIsProven, TestFullMemoryOfNonces, TestPartners, TestIntegrityTokens.
		catalog.CheckApp: true, catalog.CheckNonceKept: true, catalog.CheckPartner: true, catalog.CheckIntegrity: true,
	}
	for _, test := range slices.Concat(refusals, signedRefusals, userRefusals, tokenRefusals) {
		covered[test.check] = true
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, declared())
			spoil := test.spoil(w)
			r := w.request(test.stage, http.MethodGet, "/v1/accounts", "")
			spoil(r)
			answer, verdict := w.do(r)
			if answer.Code != test.status || kindOf(answer) != test.kind {
				t.Errorf("answer %d %s, want %d %s", answer.Code, answer.Body, test.status, test.kind)
			}
			if verdict.Allowed || verdict.Check != test.check || verdict.Reason == "" {
				t.Errorf("verdict %+v, want a refusal by %s", verdict, test.check)
			}
			if strings.Contains(answer.Body.String(), verdict.Reason) {
				t.Errorf("the client is told the private reason %q", verdict.Reason)
			}
			wanted := challenges[test.check][answer.Code]
			if test.stage == granted && (test.check == catalog.CheckBinding || test.check == catalog.CheckScope) {
				wanted = "Bearer"
			}
			if scheme, _, _ := strings.Cut(answer.Header().Get("WWW-Authenticate"), " "); scheme != wanted {
				t.Errorf("WWW-Authenticate %q with %d", answer.Header().Get("WWW-Authenticate"), answer.Code)
			}
			if last := w.outcomes[len(w.outcomes)-1]; last.Check != test.check || last.Status != test.status {
				t.Errorf("outcome %+v", last)
			}
		})
		t.Run(test.name+", not heeded", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, declared().WithoutCheck(test.stage, test.check))
			spoil := test.spoil(w)
			r := w.request(test.stage, http.MethodGet, "/v1/accounts", "")
			spoil(r)
			if _, verdict := w.do(r); verdict.Check == test.check && !verdict.Allowed && test.check != "stage" {
				t.Errorf("refused all the same: %+v", verdict)
			}
		})
		if test.off == nil {
			continue
		}
		t.Run(test.name+", check off", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, declared().With(test.stage, test.off))
			spoil := test.spoil(w)
			r := w.request(test.stage, http.MethodGet, "/v1/accounts", "")
			spoil(r)
			if answer, verdict := w.do(r); answer.Code != http.StatusOK || !verdict.Allowed {
				t.Errorf("answer %d %s; %+v", answer.Code, answer.Body, verdict)
			}
		})
	}
	for _, check := range guard.Checks() {
		elsewhere := []catalog.Check{catalog.CheckGateway, catalog.CheckAttested, catalog.CheckDPoP, catalog.CheckSignature, catalog.CheckProofNew} // TestBehindTheGateway, TestAttestedClients, TestProofsOfSenders, TestSignedCalls
		if !covered[check] && !slices.Contains(elsewhere, check) {
			t.Errorf("no test for the check %q", check)
		}
	}
}
