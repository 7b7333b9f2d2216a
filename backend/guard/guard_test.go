package guard_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/guard"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/clientcert"
)

func kindOf(answer *httptest.ResponseRecorder) string {
	p := problem.Parse(answer.Header().Get("Content-Type"), answer.Body.Bytes())
	if p == nil {
		return ""
	}
	return p.Kind()
}

func TestGoodCalls(t *testing.T) {
	t.Parallel()
	for _, stage := range catalog.All().Built() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
			user := ""
			if stage.Call.UserProof != catalog.NoUser {
				user = "alice"
			}
			for _, call := range []struct{ method, path, body, user string }{
				{http.MethodGet, "/v1/accounts", "", user},
				{http.MethodHead, "/v1/accounts", "", user},
				{http.MethodGet, "/v1/accounts/HB-1001/transfers?x=1", "", user},
				{http.MethodPost, "/v1/transfers", "12345", user},
				{http.MethodGet, "/v1/rates", "", ""},
			} {
				answer, verdict := w.do(w.request(stage.Slug, call.method, call.path, call.body))
				want := fmt.Sprintf("%s|%s|%s|%d", mobile, call.user, stage.Slug, len(call.body))
				if answer.Code != http.StatusOK || answer.Body.String() != want || !verdict.Allowed {
					t.Errorf("%s %s: %d %s, want %s; %+v", call.method, call.path, answer.Code, answer.Body, want, verdict)
				}
			}
		})
	}
}

func setKey(key string) func(*http.Request) {
	return func(r *http.Request) { appkey.Set(r, key) }
}

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
}

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
			appkey.Set(r, "invented")
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

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

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
		// They have their own: TestNobodyIsProven, TestFullMemoryOfNonces, TestPartners.
		catalog.CheckApp: true, catalog.CheckNonceKept: true, catalog.CheckPartner: true,
	}
	for _, test := range slices.Concat(refusals, signedRefusals, userRefusals) {
		covered[test.check] = true
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
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
			if scheme, _, _ := strings.Cut(answer.Header().Get("WWW-Authenticate"), " "); scheme != challenges[test.check][answer.Code] {
				t.Errorf("WWW-Authenticate %q with %d", answer.Header().Get("WWW-Authenticate"), answer.Code)
			}
			if last := w.outcomes[len(w.outcomes)-1]; last.Check != test.check || last.Status != test.status {
				t.Errorf("outcome %+v", last)
			}
		})
		t.Run(test.name+", not heeded", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All().WithoutCheck(test.stage, test.check))
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
			w := newWorld(t, catalog.All().With(test.stage, test.off))
			spoil := test.spoil(w)
			r := w.request(test.stage, http.MethodGet, "/v1/accounts", "")
			spoil(r)
			if answer, verdict := w.do(r); answer.Code != http.StatusOK || !verdict.Allowed {
				t.Errorf("answer %d %s; %+v", answer.Code, answer.Body, verdict)
			}
		})
	}
	for _, check := range guard.Checks() {
		if !covered[check] {
			t.Errorf("no test for the check %q", check)
		}
	}
}

// fields are the fields of policies, each as something that can be set.
func fields(p *catalog.Policies) (all []reflect.Value) {
	for i := range reflect.ValueOf(p).Elem().NumField() {
		policy := reflect.ValueOf(p).Elem().Field(i)
		for j := range policy.NumField() {
			all = append(all, policy.Field(j))
		}
	}
	return all
}

// refuses makes a guard of stages that must not be guarded, and looks for what is wrong in
// the error.
func (w *world) refuses(stages catalog.Set, wants ...string) {
	w.Helper()
	w.config.Stages = stages
	_, err := guard.New(w.config)
	if err == nil {
		w.Errorf("a guard was made; want an error that says %q", wants)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			w.Errorf("want %q in: %v", want, err)
		}
	}
}

// TestMissingFieldsAreRefused clears each field of each policy, and all of them.
func TestMissingFieldsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		for i, decision := range stage.Decisions() {
			w.refuses(catalog.All().With(stage.Slug, func(p *catalog.Policies) { fields(p)[i].SetZero() }),
				"stage "+stage.Slug+": "+decision.Field+" is not decided")
		}
		w.refuses(catalog.All().With(stage.Slug, func(p *catalog.Policies) { *p = catalog.Policies{} }),
			"call.transport is not decided", "api.secret_overlap is not decided", "package.release is not decided")
	}
}

// TestUnknownValuesAreRefused gives each field a value that nobody has declared.
func TestUnknownValuesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		for i, decision := range stage.Decisions() {
			if fields(&catalog.Policies{})[i].Kind() == reflect.String {
				w.refuses(catalog.All().With(stage.Slug, func(p *catalog.Policies) { fields(p)[i].SetString("bogus") }),
					"stage "+stage.Slug+": "+decision.Field+`: nobody knows the value "bogus"`)
			}
		}
	}
}

// TestStagesThatAreNotBuiltDecideNothing: their policies are open, and no guard minds.
func TestStagesThatAreNotBuiltDecideNothing(t *testing.T) {
	t.Parallel()
	for _, stage := range catalog.All() {
		if !stage.Built && len(stage.Undecided()) == 0 {
			t.Errorf("%s is decided, but not built", stage.Slug)
		}
	}
	newWorld(t, catalog.All())
}

func TestRevokedAndUnknownLookTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	unknown := w.request("app-id", http.MethodGet, "/v1/accounts", "")
	appkey.Set(unknown, "harbour-nobody")
	first, _ := w.do(unknown)
	if _, err := w.apps.Revoke(context.Background(), mobile); err != nil {
		t.Fatal(err)
	}
	second, _ := w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
	first.Header().Del("RateLimit") // counts calls
	second.Header().Del("RateLimit")
	if diff := cmp.Diff(first.Body.String(), second.Body.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first.Header(), second.Header()); diff != "" {
		t.Error(diff)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, target string
		status         int
		kind           string
	}{
		{"GET", "/app-id", 404, "no-such-resource"},
		{"GET", "/app-id/", 404, "no-such-resource"},
		{"GET", "/app-id/v1/accounts/", 404, "no-such-resource"},
		{"GET", "/app-id//v1/accounts", 404, "no-such-resource"},
		{"GET", "/app-id/v1//accounts", 404, "no-such-resource"},
		{"GET", "/app-id/v1/accounts//transfers", 404, "no-such-resource"},
		{"GET", "/app-id/v1/%61ccounts", 404, "no-such-resource"}, // the same path, but who writes it like that?
		{"GET", "/app-id/v1/accounts/HB%2F1/transfers", 404, "no-such-resource"},
		{"GET", "/app-id/v1%2Faccounts", 404, "no-such-resource"},
		{"GET", "/app-id/../tls/v1/accounts", 404, "no-such-resource"},
		{"GET", "/app-id/V1/accounts", 404, "no-such-resource"},
		{"GET", "/app-id/v1/accounts?x=1", 200, ""},
		{"GET", "//app-id/v1/accounts", 404, "no-such-stage"},
		{"GET", "/app-id%2Fv1/accounts", 404, "no-such-stage"},
		{"GET", "/app-id;x=1/v1/accounts", 404, "no-such-stage"},
		{"HEAD", "/app-id/v1/accounts", 200, ""},
		{"OPTIONS", "/app-id/v1/accounts", 204, ""},
		{"POST", "/app-id/v1/accounts", 405, "method-not-allowed"},
		{"DELETE", "/app-id/v1/transfers", 405, "method-not-allowed"},
		{"BREW", "/app-id/v1/transfers", 405, "method-not-allowed"},
		{"HEAD", "/app-id/v1/transfers", 405, "method-not-allowed"},
	}
	w := newWorld(t, catalog.All())
	for _, test := range tests {
		good := httptest.NewRequest(test.method, "http://localhost"+test.target, nil)
		good.Header = w.request("app-id", "GET", "/", "").Header
		over(guard.Plain, nil)(good)
		answer, verdict := w.do(good)
		if answer.Code != test.status || kindOf(answer) != test.kind {
			t.Errorf("%s %s: %d %s, want %d %s; %+v", test.method, test.target, answer.Code, kindOf(answer), test.status, test.kind, verdict)
		}
		if test.status == http.StatusMethodNotAllowed && !strings.Contains(answer.Header().Get("Allow"), "T") {
			t.Errorf("%s %s: Allow %q", test.method, test.target, answer.Header().Get("Allow"))
		}
		// Whatever the path, nobody gets to know without a key whether it is there.
		good.Header.Del("Authorization")
		if answer, _ := w.do(good); test.kind != "no-such-stage" && answer.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a key: %d", test.method, test.target, answer.Code)
		}
		w.clock.advance(time.Second)
	}
}

func TestRateLimitFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	call := func() *httptest.ResponseRecorder {
		answer, _ := w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
		return answer
	}
	first := call()
	wantPolicy := []string{`"address";q=60;w=3, "app";q=600;w=3`}
	if diff := cmp.Diff(wantPolicy, first.Header().Values("RateLimit-Policy")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`"address";r=59;t=3, "app";r=599;t=3`}, first.Header().Values("RateLimit")); diff != "" {
		t.Error(diff)
	}
	if first.Header().Get("Retry-After") != "" {
		t.Error("Retry-After with an answer")
	}
	for range 59 {
		if answer := call(); answer.Code != http.StatusOK {
			t.Fatalf("%d within the limit", answer.Code)
		}
	}
	refused := call()
	if refused.Code != http.StatusTooManyRequests || refused.Header().Get("Retry-After") != "1" {
		t.Errorf("past the limit: %d, Retry-After %q", refused.Code, refused.Header().Get("Retry-After"))
	}
	if diff := cmp.Diff([]string{`"address";r=0;t=1`}, refused.Header().Values("RateLimit")); diff != "" {
		t.Error(diff)
	}
	w.clock.advance(time.Second)
	served := 0
	for range 30 {
		if call().Code == http.StatusOK {
			served++
		}
	}
	if served != 20 {
		t.Errorf("%d calls served in the second after the burst, want 20", served)
	}
}

// TestRefusalsCount: whatever a call is refused for, it uses up the limit of its address.
func TestRefusalsCount(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Request){
		"browser":         func(r *http.Request) { r.Header.Set("User-Agent", "curl/8.5.0") },
		"plain HTTP":      over(guard.Plain, nil),
		"no key":          func(r *http.Request) { r.Header.Del("Authorization") },
		"no stage":        func(r *http.Request) { r.URL.Path = "/" },
		"unknown stage":   func(r *http.Request) { r.URL.Path = "/no-such-stage/v1/accounts" },
		"stage not built": func(r *http.Request) { r.URL.Path = "/signed-calls/v1/accounts" },
		"no such path":    func(r *http.Request) { r.URL.Path = "/tls/v1/whatever" },
		"partner's route": func(r *http.Request) { r.URL.Path = "/tls/partner/v1/settlements" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
			for range guard.DefaultAddressLimit.Burst {
				r := w.request("tls", http.MethodGet, "/v1/accounts", "")
				spoil(r)
				if answer, verdict := w.do(r); verdict.Check == "address-limit" || answer.Header().Get("RateLimit") == "" {
					t.Fatalf("%d, %+v, RateLimit %q", answer.Code, verdict, answer.Header().Get("RateLimit"))
				}
			}
			if answer, verdict := w.do(w.request("tls", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusTooManyRequests || verdict.Check != "address-limit" {
				t.Errorf("a good call after them: %d, %+v", answer.Code, verdict)
			}
			r := w.request("tls", http.MethodGet, "/v1/accounts", "")
			spoil(r)
			if answer, _ := w.do(r); answer.Code != http.StatusTooManyRequests {
				t.Errorf("one more of them: %d", answer.Code)
			}
		})
	}
}

// TestRefusalsInTheRoutesFormat looks at the same refusals on routes that write them in one
// way and the other.
func TestRefusalsInTheRoutesFormat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, media string
		status      int
		challenge   string
		member      string
	}{
		{"/v1/accounts", problem.ContentType, 401, "key", `"type":"urn:keyladder:problem:client-not-accepted"`},
		{"/oauth/token", "application/json", 401, "key", `"error":"invalid_client"`},
		{"/oauth/userinfo", problem.ContentType, 401, `Bearer realm="Harbour Bank", error="invalid_token"`, `"type":"urn:keyladder:problem:client-not-accepted"`},
	} {
		w := newWorld(t, catalog.All())
		r := w.request("tls", http.MethodGet, test.path, "")
		appkey.Set(r, "invented")
		answer, verdict := w.do(r)
		if answer.Code != test.status || answer.Header().Get("Content-Type") != test.media || !strings.Contains(answer.Body.String(), test.member) ||
			!strings.HasPrefix(answer.Header().Get("WWW-Authenticate"), test.challenge) || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v, %s", test.path, answer.Code, answer.Header(), answer.Body)
		}
		if verdict.Check != catalog.CheckAppKey || strings.Contains(answer.Body.String(), verdict.Reason) {
			t.Errorf("%s: %+v", test.path, verdict)
		}
	}
}

// TestAppLimitIsTheAppsOwn lets strangers who know an app's key, but can't prove that
// they are the app, call as often as they like.
func TestAppLimitIsTheAppsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	burst, perSecond := 5, 0.001
	if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	for _, certificate := range []*x509.Certificate{nil, w.clients[kiosk]} {
		for range 20 {
			r := w.request("pinned-mtls", http.MethodGet, "/v1/accounts", "")
			over(guard.TLS, certificate)(r)
			if answer, _ := w.do(r); answer.Code != http.StatusForbidden {
				t.Fatalf("a stranger gets %d", answer.Code)
			}
		}
	}
	for range burst {
		if answer, verdict := w.do(w.request("pinned-mtls", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
			t.Fatalf("the app gets %d, %+v", answer.Code, verdict)
		}
	}
	answer, verdict := w.do(w.request("pinned-mtls", http.MethodGet, "/v1/accounts", ""))
	if answer.Code != http.StatusTooManyRequests || verdict.Check != "app-limit" || answer.Header().Get("Retry-After") != "1000" {
		t.Errorf("past its limit the app gets %d, %+v, Retry-After %q", answer.Code, verdict, answer.Header().Get("Retry-After"))
	}
}

// reader is a body that is still on its way.
type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// TestSlowBodiesRefillNothing lets calls begin, and others be served while their bodies
// come.
func TestSlowBodiesRefillNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	perSecond, burst, seconds := 1.0, 4, 20
	if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	served := 0
	call := func(body io.Reader) {
		r := w.request("app-id", http.MethodPost, "/v1/transfers", "")
		if body != nil {
			r.Body, r.ContentLength = io.NopCloser(body), -1
		}
		answer := httptest.NewRecorder()
		w.echo.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			served++
		}
	}
	for range seconds {
		call(reader(func([]byte) (int, error) {
			w.clock.advance(time.Second)
			call(nil)
			return 0, io.EOF
		}))
	}
	if want := burst + seconds - 1; served != want { // the bucket is full until the first call
		t.Errorf("%d calls were served in %d s, want %d", served, seconds, want)
	}
}

// TestAddresses counts calls by the address of the connection, whatever the client
// says, and behind the terminator by what the terminator says.
func TestAddresses(t *testing.T) {
	t.Parallel()
	burst := guard.DefaultAddressLimit.Burst
	flood := func(t *testing.T, vary func(i int, r *http.Request)) (served int) {
		w := newWorld(t, catalog.All())
		for i := range burst + 10 {
			r := w.request("tls", http.MethodGet, "/v1/accounts", "")
			vary(i, r)
			if answer, _ := w.do(r); answer.Code == http.StatusOK {
				served++
			}
		}
		return served
	}
	tests := []struct {
		name   string
		vary   func(i int, r *http.Request)
		served int
	}{
		{"other ports", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("203.0.113.7:%d", 1000+i) }, burst},
		{"other addresses", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("203.0.113.%d:1000", i) }, burst + 10},
		{"invented X-Forwarded-For", func(i int, r *http.Request) { r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)) }, burst},
		{"IPv4 written as IPv6", func(i int, r *http.Request) {
			r.RemoteAddr = []string{"203.0.113.7:1000", "[::ffff:203.0.113.7]:1000"}[i%2]
		}, burst},
		{"IPv6 of one subscriber", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1000", i+1) }, burst},
		{"IPv6 of many", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("[2001:db8:0:%x::1]:1000", i) }, burst + 10},
		{"one client behind the terminator", func(i int, r *http.Request) {
			terminated(nil)(r)
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1000", i)
		}, burst},
		{"many clients behind the terminator", func(i int, r *http.Request) {
			terminated(nil)(r)
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		}, burst + 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if served := flood(t, test.vary); served != test.served {
				t.Errorf("%d calls served, want %d", served, test.served)
			}
		})
	}
}

func TestTerminatedMutualTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("pinned-mtls", http.MethodGet, "/v1/accounts", "")
	terminated(w.clients[mobile])(r)
	if answer, verdict := w.do(r); answer.Code != http.StatusOK {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
}

func TestBodyUpToTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	answer, _ := w.do(w.request("app-id", http.MethodPost, "/v1/transfers", strings.Repeat("x", guard.MaxBody)))
	if answer.Code != http.StatusOK || !strings.HasSuffix(answer.Body.String(), "|65536") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestPanickingHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	answer, _ := w.do(w.request("app-id", http.MethodPost, "/v1/panic", ""))
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "a fault") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// TestNobody shows that a caller which the guard did not make is of no use.
func TestNobody(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(guard.Caller){
		"App":     func(c guard.Caller) { c.App() },
		"User":    func(c guard.Caller) { c.User() },
		"Staff":   func(c guard.Caller) { c.Staff() },
		"SeesAll": func(c guard.Caller) { c.SeesAll() },
		"Sees":    func(c guard.Caller) { c.Sees("alice") },
		"Session": func(c guard.Caller) { c.Session() },
		"Device":  func(c guard.Caller) { c.Device() },
		"Stage":   func(c guard.Caller) { c.Stage() },
		"Body":    func(c guard.Caller) { c.Body() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of the zero Caller answers", name)
				}
			}()
			ask(guard.Caller{})
		}()
	}
}

// TestNoDatabaseOnTheWay makes calls when there is no database any more.
func TestNoDatabaseOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		w.request(stage.Slug, http.MethodGet, "/v1/accounts", "") // registers the device, signs in
	}
	if err := w.closeDB(); err != nil {
		t.Fatal(err)
	}
	for _, stage := range catalog.All().Built() {
		if answer, verdict := w.do(w.request(stage.Slug, http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
			t.Errorf("%s: %d, %+v", stage.Slug, answer.Code, verdict)
		}
	}
	if _, err := w.apps.Revoke(context.Background(), mobile); err == nil {
		t.Error("a revocation that is not in the database was acknowledged")
	}
	if answer, _ := w.do(w.request("app-id", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
		t.Errorf("a revocation that is not in the database took effect: %d", answer.Code)
	}
}

// TestRevokeWhileCalling revokes and restores a key while calls come in: each change is
// in force when it is acknowledged.
func TestRevokeWhileCalling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All().With("app-id", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call := func() int {
		answer := httptest.NewRecorder()
		w.echo.ServeHTTP(answer, w.request("app-id", http.MethodGet, "/v1/accounts", ""))
		return answer.Code
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for ctx.Err() == nil {
				if status := call(); status != http.StatusOK && status != http.StatusUnauthorized {
					t.Errorf("a call while the key changes: %d", status)
					return
				}
			}
		})
	}
	for range 20 {
		for _, step := range []struct {
			change func(context.Context, string) (manage.Key, error)
			want   int
		}{{w.apps.Revoke, http.StatusUnauthorized}, {w.apps.Restore, http.StatusOK}} {
			if _, err := step.change(ctx, mobile); err != nil {
				t.Fatal(err)
			}
			if status := call(); status != step.want {
				t.Errorf("after the change: %d, want %d", status, step.want)
			}
		}
	}
	cancel()
	wait.Wait()
}

func TestUsageAndKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
	w.do(w.request("app-id", http.MethodHead, "/v1/accounts", ""))
	refused := w.request("app-id", http.MethodGet, "/v1/accounts/HB-1001/transfers", "")
	appkey.Set(refused, kiosk)
	w.do(refused)
	stranger := w.request("app-id", http.MethodGet, "/v1/accounts", "")
	appkey.Set(stranger, "invented")
	w.do(stranger)
	w.do(w.request("app-id", http.MethodGet, "/v1/whatever", ""))
	w.do(w.request("no-such-stage", http.MethodGet, "/v1/accounts", ""))
	want := map[string]int{
		mobile + "|app-id|GET /v1/accounts|true":                2,
		kiosk + "|app-id|GET /v1/accounts/{id}/transfers|false": 1,
		"|app-id|GET /v1/accounts|false":                        1,
		mobile + "|app-id|" + guard.OtherRoute + "|true":        1,
	}
	if diff := cmp.Diff(want, w.usage.counts); diff != "" {
		t.Error(diff)
	}
	for _, app := range w.apps.Apps() {
		key := app.Keys[0]
		accepted, refused := key.LastAccepted != nil, key.LastRefused != nil
		if accepted != (app.ID == mobile) || refused != (app.ID == kiosk) || refused != (key.LastRefusal != "") {
			t.Errorf("%s: accepted %v, refused %v %q", app.ID, key.LastAccepted, key.LastRefused, key.LastRefusal)
		}
	}
}

// terminatorFields are believed on the terminator's listener only.
var terminatorFields = []string{clientcert.Field, clientcert.ChainField, "X-Forwarded-For"}

func TestTrafficRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("tls", http.MethodPost, "/v1/transfers", `{"amount":1}`)
	r.Header.Set(traffic.Header, "trip-1")
	w.do(r)
	records := w.log.After(0)
	for _, record := range records {
		if record.Lane != traffic.Server || record.Stage != "tls" || record.Exchange != "trip-1" {
			t.Errorf("%+v", record)
		}
	}
	request, response := records[0], records[1]
	if !strings.HasPrefix(request.Head, "POST /tls/v1/transfers HTTP/1.1\nHost: example.com\nAuthorization: key harbour-mobile\n") {
		t.Errorf("request head:\n%s", request.Head)
	}
	if string(request.Body) != `{"amount":1}` || string(response.Body) != mobile+"||tls|12" {
		t.Errorf("bodies %q, %q", request.Body, response.Body)
	}
	if response.Verdict.Check != "scope" || response.Summary != "200 OK" {
		t.Errorf("response %+v", response)
	}
	// What nobody should believe is shown, but no handler gets to see it.
	r = w.request("tls", http.MethodGet, "/v1/accounts", "")
	for _, name := range terminatorFields {
		r.Header.Set(name, "invented")
	}
	w.do(r)
	shown := w.log.After(w.log.Last() - 2)[0].Head
	for _, name := range terminatorFields {
		if !strings.Contains(shown, name+": invented\n") && !strings.HasSuffix(shown, name+": invented") {
			t.Errorf("%s is not shown:\n%s", name, shown)
		}
		if r.Header.Get(name) != "" {
			t.Errorf("%s is left for handlers", name)
		}
	}
	r = w.request("tls", http.MethodGet, "/v1/accounts", "")
	r.Header.Set("Cookie", "keyladder-admin=5ec7e7")
	w.do(r)
	if shown := w.log.After(w.log.Last() - 2)[0].Head; strings.Contains(shown, "5ec7e7") || !strings.Contains(shown, "Cookie: (not recorded)") {
		t.Errorf("a cookie, which is of another program on this host:\n%s", shown)
	}
	for _, id := range []string{strings.Repeat("x", 65), "a b", "a\x00"} {
		r := w.request("tls", http.MethodGet, "/v1/accounts", "")
		r.Header.Set(traffic.Header, id)
		w.do(r)
		if kept := w.log.After(w.log.Last() - 1)[0].Exchange; kept != "" {
			t.Errorf("the exchange %q was recorded", kept)
		}
	}
}

// TestOrder fails when a step of the pipeline is moved or lost.
func TestOrder(t *testing.T) {
	t.Parallel()
	want := []catalog.Check{
		"address-limit", "stage", "transport", "user-agent", "body",
		"client-certificate", "key-in-url", "app-key", "hawk", "signed-fields", "nonce", "certificate-of-app", "partner", "app",
		"app-limit", "nonce-kept", "sealed-body", "device", "sign-in", "session", "binding",
		"scope",
	}
	if diff := cmp.Diff(want, guard.Checks()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkGuard is the guard, with its traffic records, around a handler that does
// nothing. Requests are made, and signed, while the clock is stopped.
func BenchmarkGuard(b *testing.B) {
	for _, stage := range catalog.All().Built() {
		b.Run(stage.Slug, func(b *testing.B) {
			w := newWorld(b, catalog.All())
			w.config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6} // limits are looked at and never reached
			perSecond, burst := 1e6, 1_000_000
			if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
				b.Fatal(err)
			}
			w.start()
			var ready []*http.Request
			b.ReportAllocs()
			for b.Loop() {
				if len(ready) == 0 {
					b.StopTimer()
					for range 1000 {
						ready = append(ready, w.request(stage.Slug, http.MethodGet, "/v1/empty", ""))
					}
					w.sent.Clear()
					w.outcomes = w.outcomes[:0]
					w.clock.advance(time.Second)
					b.StartTimer()
				}
				r := ready[len(ready)-1]
				ready = ready[:len(ready)-1]
				answer := httptest.NewRecorder()
				if w.echo.ServeHTTP(answer, r); answer.Code != http.StatusNoContent {
					b.Fatalf("%d %s", answer.Code, answer.Body)
				}
			}
		})
	}
}

func TestNewRefusesHalfAGuard(t *testing.T) {
	t.Parallel()
	if _, err := guard.New(guard.Config{}); err == nil {
		t.Error("a guard without anything was made")
	}
}

// TestProblems keeps what clients see stable.
func TestProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("tls", http.MethodGet, "/v1/accounts", "")
	over(guard.Plain, nil)(r)
	answer, _ := w.do(r)
	var got map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	members := slices.Sorted(func(yield func(string) bool) {
		for name := range got {
			if !yield(name) {
				return
			}
		}
	})
	if diff := cmp.Diff([]string{"detail", "status", "title", "type"}, members); diff != "" {
		t.Error(diff)
	}
	if got["type"] != "urn:keyladder:problem:tls-required" {
		t.Errorf("type %v", got["type"])
	}
}
