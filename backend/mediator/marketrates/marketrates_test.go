package marketrates_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyladder/backend/mediator/marketrates"
	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
)

const key = "the-bank-s-key"

// world is a client, before a third party that a test plays.
type world struct {
	*marketrates.Client
	testing.TB
	third *httptest.Server
	log   *traffic.Log
	asked atomic.Int64
	now   atomic.Pointer[time.Time]

	mu     sync.Mutex
	answer http.HandlerFunc
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func start(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, log: traffic.New("mediator", 64)}
	w.after(0)
	w.answers(good)
	ca := testenv.Must[*pki.CA](t)(pki.NewCA("public"))
	pair := testenv.Must[pki.Pair](t)(ca.Server("third party", "127.0.0.1"))
	w.third = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		if got := r.Header.Values(customers.Field); len(got) != 1 || got[0] != key || r.URL.Path != "/v1/market-rates" || r.Header.Get("Authorization") != "" {
			t.Errorf("the third party is asked for %s with %v", r.URL, r.Header)
		}
		w.mu.Lock()
		answer := w.answer
		w.mu.Unlock()
		answer(rw, r)
	}))
	w.third.TLS = &tls.Config{Certificates: []tls.Certificate{testenv.Must[tls.Certificate](t)(pair.TLS())}}
	w.third.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	w.third.StartTLS()
	t.Cleanup(w.third.Close)
	dir := t.TempDir()
	writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(dir, deployment.Mediator, "test", noon, deployment.Addresses{
		Public: map[deployment.ServiceName]string{deployment.RatesAPI: w.third.URL},
	}))
	if err := errors.Join(writer.File("roots.pem", ca.Certificate), writer.File("secrets.json", []byte(`{"market-rates":"`+key+`"}`)), writer.Close()); err != nil {
		t.Fatal(err)
	}
	folder := testenv.Must[*deployment.Folder](t)(deployment.Open(dir, deployment.Mediator))
	w.Client = testenv.Must[*marketrates.Client](t)(marketrates.New(marketrates.Config{Folder: folder, Log: w.log, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return *w.now.Load() }}))
	t.Cleanup(w.Client.Close)
	return w
}

func (w *world) after(d time.Duration) {
	at := noon.Add(d)
	w.now.Store(&at)
}

func (w *world) answers(by http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = by
}

func answering(status int, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

var good = answering(200, `{"base":"EUR"}`, "Cache-Control", "public, max-age=5")

// call is one of an app's, with what an app sends.
func call(t testing.TB) *http.Request {
	r := testenv.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://mediator/a-stage/v1/market-rates", nil))
	r.Header.Set("Authorization", "Bearer a-token")
	r.Header.Set(customers.Field, "one of the app's making")
	r.Header.Set(traffic.Header, "x1")
	return r
}

func (w *world) get() (string, *marketrates.Unavailable) {
	w.Helper()
	body, err := w.Get(call(w), "a-stage")
	if err == nil {
		return string(body), nil
	}
	unavailable, ok := errors.AsType[*marketrates.Unavailable](err)
	if !ok {
		w.Fatal(err)
	}
	return "", unavailable
}

// The bank's key goes with the question, whatever the app sends, and an answer is used for as long as
// it holds.
func TestRatesAreKeptAsLongAsTheyHold(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, step := range []struct {
		after time.Duration
		asked int64
	}{{0, 1}, {0, 1}, {4999 * time.Millisecond, 1}, {5 * time.Second, 2}, {6 * time.Second, 2}, {10 * time.Second, 3}} {
		w.after(step.after)
		if body, why := w.get(); body != `{"base":"EUR"}` || why != nil {
			t.Errorf("after %v: %s %v", step.after, body, why)
		}
		if got := w.asked.Load(); got != step.asked {
			t.Errorf("after %v: asked %d times, want %d", step.after, got, step.asked)
		}
	}
	w.answers(answering(200, `{}`)) // which says nothing of how long it holds
	w.after(time.Minute)
	w.get()
	w.get()
	if got := w.asked.Load(); got != 5 {
		t.Errorf("asked %d times", got)
	}
	m := w.log.After(0)
	if len(m) != 10 || m[0].From != "mediator" || m[0].Stage != "a-stage" || m[0].Exchange != "x1" || !strings.Contains(m[0].Head, "Traffic-Stage: a-stage") || m[1].To != "mediator" {
		t.Errorf("on record: %+v", m)
	}
}

func TestNoRates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc // nil: there is nobody
		status int
		kind   string
		retry  string
		reason string
		again  time.Duration // when it is asked again
	}{
		{"quota", answering(429, `{}`, "Retry-After", "30", "RateLimit", `"minute";r=0;t=30`), 503, "quota-used-up", "30", `"minute";r=0;t=30`, 30 * time.Second},
		{"quota of the day", answering(429, `{}`, "Retry-After", "40000"), 503, "quota-used-up", "40000", "quota", time.Minute},
		{"quota, until whenever", answering(429, `{}`), 503, "quota-used-up", "1", "quota", time.Second},
		{"key", answering(401, `{}`), 502, "rates-unavailable", "", "401", time.Second},
		{"redirect", answering(302, ``, "Location", "https://127.0.0.1:1/"), 502, "rates-unavailable", "", "302", time.Second},
		{"fault", answering(500, `{}`), 502, "rates-unavailable", "", "500", time.Second},
		{"no JSON", answering(200, `{`), 502, "rates-unavailable", "", "no JSON", time.Second},
		{"page", answering(200, `{}`, "Content-Type", "text/html"), 502, "rates-unavailable", "", "no JSON", time.Second},
		{"long", answering(200, `"`+strings.Repeat("x", 64<<10)+`"`), 502, "rates-unavailable", "", "longer", time.Second},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503, "rates-unavailable", "1", "ask the third party", time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			w.answers(test.answer)
			body, why := w.get()
			if why == nil || body != "" {
				t.Fatalf("there are rates: %s", body)
			}
			p := why.Problem
			if p.Status != test.status || p.Kind() != test.kind || p.Header.Get("Retry-After") != test.retry || !strings.Contains(why.Reason, test.reason) {
				t.Errorf("%d %s, %v: %s", p.Status, p.Kind(), p.Header, why.Reason)
			}
			if text := string(testenv.Must[[]byte](t)(json.Marshal(p))); strings.Contains(text, key) || strings.Contains(why.Reason, key) || strings.Contains(text, w.third.URL) {
				t.Errorf("it says too much: %s, %s", text, why.Reason)
			}
			asked := w.asked.Load()
			w.after(test.again - time.Millisecond)
			if _, why := w.get(); why == nil || w.asked.Load() != asked {
				t.Errorf("it is asked again before %v", test.again)
			} else if test.retry == "30" && why.Problem.Header.Get("Retry-After") != "1" {
				t.Errorf("at the end of the wait: %v", why.Problem.Header)
			}
			w.answers(good)
			w.after(test.again)
			if body, why := w.get(); why != nil {
				t.Errorf("after %v: %s %v", test.again, body, why)
			}
		})
	}
}

// Somebody who does not wait for the answer spoils it for nobody, and many ask once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		close(begun)
		<-goOn
		good(rw, r)
	})
	impatient, leave := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _, _ = w.Get(call(t).WithContext(impatient), "a-stage") })
	<-begun
	leave()
	for range 20 {
		group.Go(func() {
			if body, err := w.Get(call(t), "a-stage"); err != nil || string(body) != `{"base":"EUR"}` {
				t.Errorf("%s, %v", body, err)
			}
		})
	}
	close(goOn)
	group.Wait()
	if got := w.asked.Load(); got != 1 {
		t.Errorf("asked %d times", got)
	}
}

func TestThereHasToBeAKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(dir, deployment.Mediator, "test", noon, deployment.Addresses{}))
	if err := errors.Join(writer.File("secrets.json", []byte(`{}`)), writer.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := marketrates.New(marketrates.Config{Folder: testenv.Must[*deployment.Folder](t)(deployment.Open(dir, deployment.Mediator))})
	if err == nil || !strings.Contains(err.Error(), "no key named market-rates") {
		t.Error(err)
	}
}
