package resource_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/traffic"
)

// BenchmarkCall compares a call at each stage with the same handler without guard: the rates,
// from memory, and a customer's account, read from the ledger. There is no network in it, and so no TLS.
// Batches of one and the other take turns, so that x-unguarded, their ratio, can be read on
// a machine that has other things to do as well.
//
//	go test ./backend/resource -run '^$' -bench Call
func BenchmarkCall(b *testing.B) {
	for name, path := range map[string]string{"rates": "/v1/rates", "account": "/v1/accounts/HB-1001"} {
		for _, stage := range ownStages() {
			b.Run(name+"/"+stage.Slug, func(b *testing.B) {
				site, clock := newSite(b, deployment.Addresses{}), &patient{now: time.Now()} // of its own: hours pass meanwhile
				server := newServer(b, site, func(c *resource.Config) {
					c.Now, c.Log = clock.Now, traffic.New("resource", deployment.DefaultSettings.TrafficRecords)
				})
				measure(b, clock, server.Handler(), server.Unguarded(), func() *http.Request { return ready(server, site.call(mobile, stage.Slug, http.MethodGet, path, "")) })
			})
		}
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

// measure makes guarded calls in the time of the benchmark, and the same calls unguarded
// before each batch. They are made up, and signed, while no clock runs. The median of the
// batches' ratios leaves out those in which another program got the processor.
func measure(b *testing.B, clock *patient, guarded, unguarded http.Handler, make func() *http.Request) {
	b.Helper()
	b.ReportAllocs()
	var calls []*http.Request
	var ratios []float64
	var before, without time.Duration
	for b.Loop() {
		if len(calls) == 0 {
			b.StopTimer()
			if without > 0 {
				ratios = append(ratios, float64(b.Elapsed()-before)/float64(without))
			}
			clock.wait()
			for range batch {
				calls = append(calls, make())
			}
			begin := time.Now()
			for _, r := range calls {
				serve(b, unguarded, r)
			}
			without, before = time.Since(begin), b.Elapsed()
			b.StartTimer()
		}
		serve(b, guarded, calls[len(calls)-1])
		calls = calls[:len(calls)-1]
	}
	if len(ratios) > 0 { // it was long enough for a batch
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], "x-unguarded")
	}
}

func serve(b *testing.B, handler http.Handler, r *http.Request) {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		b.Fatalf("%d %s", answer.Code, answer.Body)
	}
}
