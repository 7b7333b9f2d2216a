package resource_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// BenchmarkCall compares a call at each stage with the same handler without guard: a
// customer's account, read from the ledger. There is no network in it, and so no TLS.
//
//	go test ./backend/resource -run '^$' -bench Call
func BenchmarkCall(b *testing.B) {
	site, clock := newSite(b, deployment.Addresses{}), &patient{now: time.Now()}
	server := newServer(b, site, func(c *resource.Config) { c.Now = clock.Now })
	const path = "/v1/accounts/HB-1001"
	b.Run("unguarded", func(b *testing.B) {
		e := echo.New()
		e.GET("/:stage/v1/accounts/:id", server.Unguarded())
		measure(b, clock, e, func() *http.Request { return site.call(mobile, "app-id", http.MethodGet, path, "") })
	})
	for _, stage := range catalog.All().Built() {
		b.Run(stage.Slug, func(b *testing.B) {
			measure(b, clock, server.Handler(), func() *http.Request { return ready(server, site.call(mobile, stage.Slug, http.MethodGet, path, "")) })
		})
	}
}

// patient keeps limits from being reached, though they are looked at: it lets a second
// pass for each batch of calls.
type patient struct {
	mu  sync.Mutex
	now time.Time
}

func (p *patient) Now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *patient) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(time.Second)
}

// ready is a signed request.
func ready(server *resource.Server, r *http.Request) *http.Request {
	prepare(server, r)
	return r
}

// batch is how many calls an app may make at once, and a bit less than its limit lets it
// make in the seconds that pass meanwhile.
const batch = 150

// measure makes calls. They are made up, and signed, while the clock is stopped.
func measure(b *testing.B, clock *patient, handler http.Handler, make func() *http.Request) {
	b.Helper()
	b.ReportAllocs()
	var calls []*http.Request
	for b.Loop() {
		if len(calls) == 0 {
			b.StopTimer()
			clock.wait()
			for range batch {
				calls = append(calls, make())
			}
			b.StartTimer()
		}
		r := calls[len(calls)-1]
		calls = calls[:len(calls)-1]
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			b.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
}
