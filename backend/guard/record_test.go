package guard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/guard"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/clientcert"
)

func TestUsageAndKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
	w.do(w.request("app-id", http.MethodHead, "/v1/accounts", ""))
	refused := w.request("app-id", http.MethodGet, "/v1/accounts/HB-1001/transfers", "")
	appkey.Set(refused.Header, "Authorization", kiosk)
	w.do(refused)
	stranger := w.request("app-id", http.MethodGet, "/v1/accounts", "")
	appkey.Set(stranger.Header, "Authorization", "invented")
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
