package mediator_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
)

// TestForwarded: what the authorization server is asked, with the secret that servers share, and
// without what only the mediator needs.
func TestForwarded(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, test := range []struct {
		name, endpoint string
		form, want     url.Values
	}{
		{"code", "/token", redemption(), redemption()},
		{"code, with the client's own ID", "/token", url.Values{"grant_type": {"authorization_code"}, "code": {"c1"}, "client_id": {app}}, url.Values{"grant_type": {"authorization_code"}, "code": {"c1"}}},
		{"refresh token", "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}, "scope": {"rates:read"}}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}, "scope": {"rates:read"}}},
		{"what this mediator does not know", "/token", url.Values{"grant_type": {"authorization_code"}, "code": {"c +&=é"}, "code_verifier": {"v1"}}, url.Values{"grant_type": {"authorization_code"}, "code": {"c +&=é"}, "code_verifier": {"v1"}}},
		{"revocation", "/revoke", url.Values{"token": {"r1"}, "token_type_hint": {"refresh_token"}}, url.Values{"token": {"r1"}, "token_type_hint": {"refresh_token"}}},
	} {
		r := w.request(test.endpoint, test.form)
		r.Header.Set("Idempotency-Key", `"0123456789012345678901"`)
		r.Header.Set("Cookie", "a=b")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set(traffic.Header, "e1")
		if got := w.do(r); got.status != http.StatusOK || got.body != given {
			t.Errorf("%s: %d %s", test.name, got.status, got.body)
		}
		sent := w.last()
		if sent.path != "/"+stage+test.endpoint {
			t.Errorf("%s: %s", test.name, sent.path)
		}
		if diff := cmp.Diff(test.want, sent.form); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		id, secret, _ := (&http.Request{Header: sent.header}).BasicAuth()
		if id != app+"-servers" || secret != url.QueryEscape(secrets[app+"-servers"]) {
			t.Errorf("%s: authenticated as %q", test.name, id)
		}
		want := http.Header{
			"Authorization": sent.header["Authorization"], "Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"},
			"User-Agent": {"HarbourMediator/1.0"}, "Forwarded": {"for=127.0.0.1"}, "Idempotency-Key": {`"0123456789012345678901"`}, "Content-Length": sent.header["Content-Length"], traffic.Header: {"e1"},
		}
		if diff := cmp.Diff(want, sent.header); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestPassedBack: what comes back is what the authorization server said, byte for byte.
func TestPassedBack(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		body   string
	}{
		{"tokens", 200, nil, given},
		{"without a refresh token", 200, nil, `{"access_token":"a1","token_type":"Bearer","expires_in":60}`},
		{"with odd members", 200, nil, "{\n  \"expires\": 1e2, \"access_token\":\"\\u0061\", \"id_token\" : \"x.y.z\",\"x\":{\"y\":[1,null]}, \"x\": 2 }\n\n"},
		{"no object", 200, nil, `["a1"]`},
		{"with a charset", 200, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, `{"access_token":"é"}`},
		{"a code that is not good", 400, nil, `{"error":"invalid_grant","error_description":"That is not good, or not any more"}`},
		{"a scope that can't be had", 400, nil, `{"error":"invalid_scope"}`},
		{"too many", 429, http.Header{"Retry-After": {"7"}}, `{"error":"temporarily_unavailable"}`},
		{"later", 503, http.Header{"Retry-After": {"9"}}, `{"error":"temporarily_unavailable"}`},
		{"nothing", 200, http.Header{"Content-Type": nil}, ""},
		{"other caching", 200, http.Header{"Cache-Control": {"no-store, private"}, "Pragma": {"no-cache"}}, given},
	} {
		w.answer(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Set-Cookie", "a=b")
			rw.Header().Set("Server", "inside/1.0")
			for name, values := range test.header {
				rw.Header()[name] = values
			}
			rw.WriteHeader(test.status)
			io.WriteString(rw, test.body)
		})
		got := w.do(w.request("/token", redemption()))
		if got.status != test.status || got.body != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.name, got.status, got.body, test.status, test.body)
		}
		want := test.header.Clone()
		if want == nil {
			want = http.Header{}
		}
		if want["Cache-Control"] == nil {
			want.Set("Cache-Control", "no-store")
		}
		if _, ok := want["Content-Type"]; !ok {
			want.Set("Content-Type", "application/json")
		}
		for name, values := range want {
			if diff := cmp.Diff(values, got.header[name]); diff != "" {
				t.Errorf("%s: %s: %s", test.name, name, diff)
			}
		}
		for _, name := range []string{"Set-Cookie", "Server"} {
			if got.header.Get(name) != "" {
				t.Errorf("%s: %s comes through", test.name, name)
			}
		}
	}
}

// TestUnusableAnswers: the app is told to try later, and nothing about what is behind the mediator.
func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	elsewhere := 0
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				elsewhere++
			}
			http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"a page":            func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "<p>inside") },
		"a failing page":    func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "inside", http.StatusBadGateway) },
		"without a body":    func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusInternalServerError) },
		"a connection gone": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an answer that ends early": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Content-Length", "1000")
			io.WriteString(rw, "{")
		},
		"an endless one": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			io.WriteString(rw, `{"x":"`+strings.Repeat("x", 64<<10)+`"}`)
		},
		"the mediator's secret is refused": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("WWW-Authenticate", `Basic realm="inside"`)
			rw.WriteHeader(http.StatusUnauthorized)
			io.WriteString(rw, `{"error":"invalid_client"}`)
		},
	} {
		w.answer(answer)
		got := w.do(w.request("/token", redemption()))
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" || got.header.Get("WWW-Authenticate") != "" ||
			!strings.HasPrefix(got.body, `{"error":"temporarily_unavailable"`) || strings.Contains(got.body, "inside") || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %v", name, got.status, got.body, got.header)
		}
	}
	if elsewhere > 0 {
		t.Error("it follows redirects")
	}
	logged := w.errors.String()
	if n := strings.Count(logged, "level=ERROR"); n != 8 {
		t.Errorf("%d errors were logged: %s", n, logged)
	}
	for _, secret := range []string{secrets[app+"-servers"], url.QueryEscape(secrets[app+"-servers"]), "c1", "Basic"} {
		if strings.Contains(logged, secret) {
			t.Errorf("%q is in the log: %s", secret, logged)
		}
	}
}

// TestServerDownAndBack: without the authorization server, the app is told to try later; when it is
// back, all is as before.
func TestServerDownAndBack(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	if got := w.do(w.request("/token", redemption())); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	at, config := w.upstream.Listener.Addr().String(), w.upstream.TLS
	w.upstream.Close()
	if got := w.do(w.request("/token", redemption())); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || strings.Contains(got.body, at) {
		t.Errorf("down: %d %s %v", got.status, got.body, got.header)
	}
	if err := w.manage.Healthy(t.Context()); err != nil {
		t.Errorf("its health asks others: %v", err)
	}
	back := w.again(at, config)
	defer back.Close()
	if got := w.do(w.request("/token", redemption())); got.status != http.StatusOK {
		t.Errorf("back: %d %s", got.status, got.body)
	}
}

// TestRotation: the mediator learns of a new secret within a second, and uses it as soon as all
// servers know it.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	made, err := w.registry.RotateSecret(t.Context(), app+"-servers")
	if err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		if got := w.do(w.request("/token", redemption())); got.status != http.StatusOK { // with a client integrity token of the old secret
			t.Fatalf("%d %s", got.status, got.body)
		}
		_, secret, _ := (&http.Request{Header: w.last().header}).BasicAuth()
		return secret
	}
	if shown() != url.QueryEscape(secrets[app+"-servers"]) {
		t.Error("the new secret is used before all can know it")
	}
	testenv.Within(t, 10*time.Second, "the new secret is used", func() bool { return shown() == url.QueryEscape(made.Secret) })
}

// TestParallel: many apps at once, each of which gets its own answer.
func TestParallel(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"access_token":"for `+r.PostForm.Get("code")+`"}`)
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				code := strconv.Itoa(i*1000 + j)
				form := redemption()
				form.Set("code", code)
				got, err := w.try(w.request("/token", form))
				if err != nil || got.body != `{"access_token":"for `+code+`"}` {
					t.Errorf("%v: %d %s", err, got.status, got.body)
					return
				}
			}
		})
	}
	all.Wait()
	if w.count() != 400 {
		t.Errorf("%d requests", w.count())
	}
}

// TestRecords: both halves are on record, in one exchange, and what was decided.
func TestRecords(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	r := w.request("/token", redemption())
	r.Header.Set(traffic.Header, "e1")
	w.do(r)
	var got []string
	for _, m := range w.log.After(0) {
		if m.Exchange != "e1" || m.Lane != traffic.Server || m.Stage != stage || m.Program != "mediator" {
			t.Errorf("%+v", m)
		}
		verdict := ""
		if m.Verdict != nil {
			verdict = string(m.Verdict.Check)
		}
		got = append(got, strings.Join([]string{m.From, m.To, string(m.Kind), m.Summary, verdict}, "|"))
	}
	want := []string{
		"mediator|network|request|POST /mediated/token|", "network|mediator|response|200 OK|",
		"network|mediator|request|POST /mediated/token|", "mediator|network|response|200 OK|app-limit",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
