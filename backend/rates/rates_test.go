package rates_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/rates"
	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
)

const bank, other = "the-bank-s-key-of-many-random-characters", "the-key-of-another-customer-of-theirs"

// world is a rates server that runs, with two customers.
type world struct {
	testing.TB
	base   string
	http   *http.Client
	manage *manage.Client
	log    *traffic.Log
	now    atomic.Pointer[time.Time]
	start  func()
	stop   func()
}

// noon is the beginning of a minute, in the middle of a day.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func start(t testing.TB, perMinute, perDay int) *world {
	t.Helper()
	w := &world{TB: t, log: traffic.New("rates", 256)}
	w.at(noon)
	ca := testenv.Must[*pki.CA](t)
	public, inside := ca(pki.NewCA("public")), ca(pki.NewCA("inside"))
	pair := testenv.Must[pki.Pair](t)
	server := pair(public.Server("server", "127.0.0.1"))
	listen := func() net.Listener { return testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")) }
	l := rates.Listeners{TLS: listen(), Manage: listen()}
	w.base = "https://" + l.TLS.Addr().String()
	addresses := deployment.Addresses{Public: map[deployment.ServiceName]string{
		deployment.RatesAPI: w.base, deployment.Manage(deployment.Rates): "https://" + l.Manage.Addr().String(),
	}}
	dir := t.TempDir()
	folder := func(role deployment.Role) *deployment.Folder {
		writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(dir, role, "test", noon, addresses))
		known := testenv.Must[[]byte](t)(json.Marshal([]customers.Key{{Customer: "bank", SHA256: customers.Hash(bank)}, {Customer: "other", SHA256: customers.Hash(other)}}))
		if err := errors.Join(
			writer.Pair("manage", pair(inside.Peer(string(role), string(role)))), writer.File("manage-ca.pem", inside.Certificate),
			writer.Pair("server", server), writer.File(customers.File, known), writer.Close()); err != nil {
			t.Fatal(err)
		}
		return testenv.Must[*deployment.Folder](t)(deployment.Open(dir, role))
	}
	ours := folder(deployment.Rates)
	w.start = func() {
		s := testenv.Must[*rates.Server](t)(rates.New(rates.Config{
			Folder: ours, Log: w.log, PerMinute: perMinute, PerDay: perDay, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return *w.now.Load() },
		}))
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		w.stop = sync.OnceFunc(func() {
			cancel()
			if err := errors.Join(<-served, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	roots := testenv.Must[*x509.CertPool](t)(pki.Pool(public.Certificate))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport}
	w.manage = testenv.Must[*manage.Client](t)(manage.NewClient(folder(deployment.Admin), deployment.Rates))
	// It listens anew at the same places.
	again := w.start
	w.start = func() {
		l = rates.Listeners{TLS: testenv.Must[net.Listener](t)(net.Listen("tcp", l.TLS.Addr().String())), Manage: testenv.Must[net.Listener](t)(net.Listen("tcp", l.Manage.Addr().String()))}
		again()
	}
	return w
}

func (w *world) at(at time.Time) { w.now.Store(&at) }

// ask calls with keys, each in a field of its own.
func (w *world) ask(keys ...string) (*http.Response, string) {
	w.Helper()
	r := testenv.Must[*http.Request](w)(http.NewRequest(http.MethodGet, w.base+"/v1/market-rates", nil))
	for _, key := range keys {
		r.Header.Add(customers.Field, key)
	}
	r.Header.Set(traffic.Header, "x1")
	r.Header.Set(traffic.StageHeader, "a-stage")
	response := testenv.Must[*http.Response](w)(w.http.Do(r))
	defer response.Body.Close()
	return response, string(testenv.Must[[]byte](w)(io.ReadAll(response.Body)))
}

// decided is what was recorded about the latest call.
func (w *world) decided() traffic.Message {
	w.Helper()
	messages := w.log.After(0)
	if len(messages) < 2 {
		w.Fatal("nothing is on record")
	}
	return messages[len(messages)-1]
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := start(t, 100, 1000)
	for _, test := range []struct {
		name   string
		keys   []string
		status int
		reason string // empty: it is served
	}{
		{"none", nil, 401, "no key"},
		{"empty", []string{""}, 401, "no key"},
		{"unknown", []string{bank + "x"}, 401, "nobody has that key"},
		{"beginning of one", []string{bank[:len(bank)-1]}, 401, "nobody has that key"},
		{"hash of one", []string{customers.Hash(bank)}, 401, "nobody has that key"},
		{"two", []string{bank, bank}, 400, "more than one"},
		{"long", []string{strings.Repeat("k", 20000)}, 401, "nobody has that key"},
		{"good", []string{bank}, 200, ""},
		{"other", []string{other}, 200, ""},
	} {
		response, body := w.ask(test.keys...)
		if response.StatusCode != test.status {
			t.Errorf("%s: %d %s", test.name, response.StatusCode, body)
		}
		m := w.decided()
		if m.Stage != "a-stage" || m.Exchange != "x1" || m.Verdict == nil || m.Verdict.Allowed != (test.reason == "") {
			t.Errorf("%s: on record is %+v", test.name, m)
			continue
		}
		if test.reason == "" {
			var market rates.Market
			if err := json.Unmarshal([]byte(body), &market); err != nil || market.Base != "EUR" || !market.AsOf.Equal(noon) || market.Rates["USD"].Bid == "" {
				t.Errorf("%s: %s, %v", test.name, body, err)
			}
			if got := response.Header.Get("Cache-Control"); got != "max-age=5" {
				t.Errorf("%s: kept for %q", test.name, got)
			}
			continue
		}
		if m.Verdict.Check != "third-party-key" || !strings.Contains(m.Verdict.Reason, test.reason) {
			t.Errorf("%s: refused by %q: %s", test.name, m.Verdict.Check, m.Verdict.Reason)
		}
		if (test.status == 401) != (response.Header.Get("WWW-Authenticate") != "") || response.Header.Get("RateLimit") != "" || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", test.name, response.Header)
		}
		if strings.Contains(body, bank) || strings.Contains(m.Verdict.Reason, bank) {
			t.Errorf("%s: the key is told: %s", test.name, body)
		}
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	w := start(t, 2, 5)
	wants := func(key, at string, status int, limit, retry string) {
		t.Helper()
		clock := testenv.Must[time.Time](t)(time.Parse(time.DateTime, at))
		w.at(clock)
		response, body := w.ask(key)
		if response.StatusCode != status || response.Header.Get("RateLimit") != limit || response.Header.Get("Retry-After") != retry {
			t.Errorf("%s: %d, RateLimit %s, Retry-After %s: %s", at, response.StatusCode, response.Header.Get("RateLimit"), response.Header.Get("Retry-After"), body)
		}
		if got := response.Header.Get("RateLimit-Policy"); got != `"minute";q=2;w=60, "day";q=5;w=86400` {
			t.Errorf("%s: the policy is %s", at, got)
		}
		if m := w.decided(); (m.Verdict.Check == "third-party-quota" && !m.Verdict.Allowed) != (status == 429) {
			t.Errorf("%s: on record is %+v", at, m.Verdict)
		}
	}
	const first, second, third = "2026-11-27 12:00:00", "2026-11-27 12:01:30", "2026-11-27 12:02:00"
	wants(bank, first, 200, `"minute";r=1;t=60, "day";r=4;t=43200`, "")
	wants(bank, first, 200, `"minute";r=0;t=60, "day";r=3;t=43200`, "")
	wants(bank, first, 429, `"minute";r=0;t=60, "day";r=3;t=43200`, "60") // which takes nothing
	wants(other, first, 200, `"minute";r=1;t=60, "day";r=4;t=43200`, "")  // it has quotas of its own
	wants(bank, second, 200, `"minute";r=1;t=30, "day";r=2;t=43110`, "")
	wants(bank, second, 200, `"minute";r=0;t=30, "day";r=1;t=43110`, "")
	wants(bank, third, 200, `"minute";r=1;t=60, "day";r=0;t=43080`, "")
	wants(bank, third, 429, `"minute";r=1;t=60, "day";r=0;t=43080`, "43080")

	got := testenv.Must[[]manage.Quota](t)(manage.Quotas(t.Context(), w.manage))
	minute, midnight := time.Date(2026, 11, 27, 12, 3, 0, 0, time.UTC), time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	if diff := cmp.Diff([]manage.Quota{
		{Customer: "bank", Window: "minute", Calls: 2, Used: 1, Ends: minute},
		{Customer: "bank", Window: "day", Calls: 5, Used: 5, Ends: midnight},
		{Customer: "other", Window: "minute", Calls: 2, Used: 0, Ends: minute},
		{Customer: "other", Window: "day", Calls: 5, Used: 1, Ends: midnight},
	}, got); diff != "" {
		t.Errorf("quotas (-want):\n%s", diff)
	}

	w.stop() // what was used of the day outlives the server
	w.start()
	wants(bank, "2026-11-27 23:59:59", 429, `"minute";r=2;t=1, "day";r=0;t=1`, "1")
	wants(bank, "2026-11-28 00:00:00", 200, `"minute";r=1;t=60, "day";r=4;t=86400`, "")
	used := testenv.Must[[]manage.Usage](t)(manage.Get[[]manage.Usage](t.Context(), w.manage, "/usage?days=2"))
	const route = "GET /v1/market-rates"
	if diff := cmp.Diff([]manage.Usage{
		{Day: "2026-11-28", App: "bank", Route: route, Served: 1},
		{Day: "2026-11-27", App: "bank", Route: route, Served: 5, Refused: 3},
		{Day: "2026-11-27", App: "other", Route: route, Served: 1},
	}, used); diff != "" {
		t.Errorf("usage (-want):\n%s", diff)
	}
}

// However many ask at once, no more are served than the quota has.
func TestQuotaOfManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t, 30, 1000)
	var group sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		group.Go(func() {
			for range 10 {
				r, err := http.NewRequest(http.MethodGet, w.base+"/v1/market-rates", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set(customers.Field, bank)
				response, err := w.http.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					served.Add(1)
				}
			}
		})
	}
	group.Wait()
	if served.Load() != 30 {
		t.Errorf("%d calls are served", served.Load())
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := start(t, 10, 10)
	for call, status := range map[string]int{"GET /": 404, "GET /v1/market-rates/": 404, "GET /v1/rates": 404, "POST /v1/market-rates": 405} {
		method, path, _ := strings.Cut(call, " ")
		r := testenv.Must[*http.Request](t)(http.NewRequest(method, w.base+path, nil))
		r.Header.Set(customers.Field, bank)
		response := testenv.Must[*http.Response](t)(w.http.Do(r))
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s: %d", call, response.StatusCode)
		}
	}
	if err := w.manage.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestKeysThatCantBeUsed(t *testing.T) {
	t.Parallel()
	good, another := customers.Hash(bank), customers.Hash(other)
	for name, keys := range map[string][]customers.Key{
		"none":           nil,
		"no hash":        {{Customer: "bank", SHA256: bank}},
		"short":          {{Customer: "bank", SHA256: good[:62]}},
		"nobody's":       {{SHA256: good}},
		"customer twice": {{Customer: "bank", SHA256: good}, {Customer: "bank", SHA256: another}},
		"key twice":      {{Customer: "bank", SHA256: good}, {Customer: "other", SHA256: good}},
	} {
		if _, err := customers.New(keys); err == nil {
			t.Errorf("%s: %s", name, fmt.Sprint(keys))
		}
	}
}

// A reset forgets what was used, of the quotas and in the statistics.
func TestReset(t *testing.T) {
	t.Parallel()
	w := start(t, 2, 10)
	ask := func() int {
		t.Helper()
		r := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, w.base+"/v1/market-rates", nil))
		r.Header.Set(customers.Field, bank)
		response := testenv.Must[*http.Response](t)(w.http.Do(r))
		response.Body.Close()
		return response.StatusCode
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if got := ask(); got != want {
			t.Errorf("call %d: %d", i+1, got)
		}
	}
	testenv.Must[any](t)(manage.Post[any](t.Context(), w.manage, "/reset", nil))
	if used := testenv.Must[[]manage.Usage](t)(w.manage.Usage(t.Context(), 1)); len(used) != 0 {
		t.Errorf("%+v", used)
	}
	for _, quota := range testenv.Must[[]manage.Quota](t)(manage.Quotas(t.Context(), w.manage)) {
		if quota.Used != 0 {
			t.Errorf("%+v", quota)
		}
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("after a reset: %d", got)
	}
}
