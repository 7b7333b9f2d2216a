package fronted

import (
	"net/http"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/forwarded"
)

// TestCaddy does what Caddy's forward_auth does, with the fields that it sends: it asks about a call,
// and sends the call on with what it is told.
func TestCaddy(t *testing.T) {
	testenv.InSequence(t)
	w := start(t, map[string]string{"address_per_second": "0.5", "address_burst": "100"})
	asking, sending := w.client(w.pair(deployment.Attacker, "terminator")), w.client(w.pair(deployment.Mediator, "manage"))
	ask := func(method, path string, change func(*http.Request)) (*http.Response, string) {
		t.Helper()
		r := w.call(w.Addresses.URL(deployment.TerminatedMediator), http.MethodGet, "/check", "")
		r.Header.Set("X-Forwarded-Method", method)
		r.Header.Set("X-Forwarded-Uri", "/"+slug+path)
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		if change != nil {
			change(r)
		}
		return w.do(asking, r)
	}
	send := func(method, path, caller string) (*http.Response, string) {
		t.Helper()
		r := testenv.Must[*http.Request](t)(http.NewRequest(method, w.Addresses.URL(deployment.InsideAPI)+"/"+slug+path, nil))
		forwarded.Set(r.Header, caller)
		return w.do(sending, r)
	}
	answer, text := ask("GET", "/v1/accounts", nil)
	caller := answer.Header.Get(forwarded.Field)
	if answer.StatusCode != 204 || caller == "" {
		t.Fatalf("%d %s %v", answer.StatusCode, text, answer.Header)
	}
	// What is said is good for that call, once.
	if got, text := send("GET", "/v1/accounts/HB-1001", caller); got.StatusCode != 403 {
		t.Errorf("another call: %d %s", got.StatusCode, text)
	}
	if got, text := send("GET", "/v1/accounts", caller); got.StatusCode != 200 {
		t.Errorf("the call: %d %s", got.StatusCode, text)
	}
	if got, text := send("GET", "/v1/accounts", caller); got.StatusCode != 403 {
		t.Errorf("once more: %d %s", got.StatusCode, text)
	}
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"nobody":                   {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"it is said twice":         {func(r *http.Request) { r.Header.Add("X-Forwarded-Method", "GET") }, 403},
		"fields for nginx as well": {func(r *http.Request) { r.Header.Set("X-Original-Method", "GET") }, 403},
		"and other ones": {func(r *http.Request) {
			r.Header.Set("X-Original-Method", "GET")
			r.Header.Set("X-Original-URI", "/"+slug+"/v1/rates")
		}, 403},
	} {
		if answer, text := ask("POST", "/v1/transfers", test.change); answer.StatusCode != test.status || answer.Header.Get(forwarded.Field) != "" {
			t.Errorf("%s: %d %s", name, answer.StatusCode, text)
		}
	}
	// And who is no gateway is told nothing.
	if r := w.call(w.Addresses.URL(deployment.MediatorService), http.MethodGet, "/check", ""); true {
		r.Header.Set("X-Forwarded-Method", "GET")
		r.Header.Set("X-Forwarded-Uri", "/"+slug+"/v1/accounts")
		if answer, text := w.do(w.http, r); answer.StatusCode != 404 || answer.Header.Get(forwarded.Field) != "" {
			t.Errorf("an app asks: %d %s", answer.StatusCode, text)
		}
	}
}
