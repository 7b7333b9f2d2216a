package resource_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
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
	site := newSite(b, deployment.Addresses{})
	server := newServer(b, site, patient)
	const path = "/v1/accounts/HB-1001"
	b.Run("unguarded", func(b *testing.B) {
		e := echo.New()
		e.GET("/:stage/v1/accounts/:id", server.Unguarded())
		measure(b, e, site.call(mobile, "app-id", http.MethodGet, path, ""))
	})
	for _, stage := range catalog.All().Built() {
		b.Run(stage.Slug, func(b *testing.B) {
			measure(b, server.Handler(), site.call(mobile, stage.Slug, http.MethodGet, path, ""))
		})
	}
}

// patient lets time pass between calls, so that limits are looked at and never reached.
func patient(c *resource.Config) {
	var ticks atomic.Int64
	begin := time.Now()
	c.Now = func() time.Time { return begin.Add(time.Duration(ticks.Add(1)) * 10 * time.Millisecond) }
}

func measure(b *testing.B, handler http.Handler, r *http.Request) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			b.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
}
