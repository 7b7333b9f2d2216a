package fronted

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/phone"
	"keyladder/stages/mechanism/integrity"
)

// TestMarketRates gets a third party's rates through the gateway, which adds the bank's key, until the
// bank's quota is used up.
func TestMarketRates(t *testing.T) {
	testenv.InSequence(t)
	w := start(t, map[string]string{"rates_per_day": "2", "address_per_second": "1000", "address_burst": "10000"})
	const path = "/v1/market-rates"
	gateway := w.Addresses.URL(deployment.MediatorService)
	var secrets map[string]string
	if err := json.Unmarshal(w.read(deployment.Mediator, "secrets.json"), &secrets); err != nil {
		t.Fatal(err)
	}
	key := secrets["market-rates"]
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"good", func(*http.Request) {}, 200},
		{"nobody is signed in", func(r *http.Request) { r.Header.Del("Authorization") }, 200},
		{"a key of its own", func(r *http.Request) { r.Header.Set(customers.Field, "another") }, 200},
		{"no genuine app", func(r *http.Request) { r.Header.Del(integrity.Field) }, 401},
		{"no genuine app, with the key", func(r *http.Request) { r.Header.Del(integrity.Field); r.Header.Set(customers.Field, key) }, 401},
	} {
		r := w.call(gateway, http.MethodGet, path, "")
		test.change(r)
		response, text := w.do(w.http, r)
		if response.StatusCode != test.status {
			t.Errorf("%s: %d %s", test.name, response.StatusCode, text)
		}
		var market phone.MarketRates
		if err := json.Unmarshal([]byte(text), &market); err != nil || (test.status == 200) != (market.Provider == "Lighthouse Rates" && market.Rates["USD"].Ask != "") {
			t.Errorf("%s: %s, %v", test.name, text, err)
		}
		for name, values := range response.Header {
			if strings.Contains(text+strings.Join(values, ""), key) {
				t.Errorf("%s: the key comes back, beside %s", test.name, name)
			}
		}
	}
	admin := testenv.Must[*deployment.Folder](t)(deployment.Open(w.Dir, deployment.Admin))
	third := testenv.Must[*manage.Client](t)(manage.NewClient(admin, deployment.Rates))
	used := func() int { return testenv.Must[[]manage.Quota](t)(manage.Quotas(t.Context(), third))[1].Used }
	if got := used(); got < 1 || got > 2 {
		t.Fatalf("%d calls at the third party", got)
	}
	// The next answers hold for 5 s each; nobody need wait for that where the bank's own key is used.
	for used() < 2 {
		r := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, w.Addresses.URL(deployment.RatesAPI)+path, nil))
		r.Header.Set(customers.Field, key)
		if response, text := w.do(w.http, r); response.StatusCode != 200 {
			t.Fatalf("the third party: %d %s", response.StatusCode, text)
		}
	}
	var response *http.Response
	var text string
	testenv.Within(t, testPatience, "the quota is used up", func() bool {
		response, text = w.do(w.http, w.call(gateway, http.MethodGet, path, ""))
		return response.StatusCode != 200
	})
	if response.StatusCode != 503 || !strings.Contains(text, "quota-used-up") || response.Header.Get("Retry-After") == "" {
		t.Errorf("past the quota: %d %v %s", response.StatusCode, response.Header, text)
	}
	if response, text := w.do(w.http, w.call(gateway, http.MethodGet, "/v1/rates", "")); response.StatusCode != 200 {
		t.Errorf("the bank's own rates: %d %s", response.StatusCode, text)
	}
}

// testPatience is more than an answer of the third party holds.
const testPatience = 20 * time.Second
