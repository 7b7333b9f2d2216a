package usage_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/usage"
	"keyladder/internal/manage"
)

var home = netip.MustParseAddr("192.0.2.1")

// who is what a query finds.
func who(t *testing.T, s *usage.Sources, kind manage.SourceKind, change ...func(*manage.SourceQuery)) manage.SourceList {
	t.Helper()
	q := manage.SourceQuery{Kind: kind, Days: 14, Limit: 50}
	for _, c := range change {
		c(&q)
	}
	list, err := s.Query(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSources(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "usage.db")
	now := noon.AddDate(0, 0, -1)
	s := usage.NewSources(openAt(t, path), at(&now))
	alice := usage.Source{Stage: "user-session", App: "mobile", User: "alice", Address: home, Agent: "HarbourBank/2.0"}
	crawler := usage.Source{Stage: "tls", Address: netip.MustParseAddr("2001:db8::1"), Agent: "Crawler/1.0 " + strings.Repeat("x", 100)}
	s.Count(now, alice, true)
	now = noon
	s.Count(now, alice, true)
	s.Count(now, alice, false)
	s.Count(now, crawler, false)
	crawler.Address = netip.MustParseAddr("2001:db8::2") // of the same subscriber
	s.Count(now, crawler, false)
	s.Count(now, usage.Source{Stage: "tls", Address: home}, false)

	calls := func(served, refused int64) manage.Calls { return manage.Calls{Served: served, Refused: refused} }
	today := "2026-11-21"
	want := map[manage.SourceKind]manage.SourceList{
		manage.ByUser:    {Total: 1, Sources: []manage.Source{{Value: "alice", LastDay: today, Calls: calls(2, 1)}}},
		manage.ByAddress: {Total: 2, Sources: []manage.Source{{Value: "192.0.2.1", LastDay: today, Calls: calls(2, 2)}, {Value: "2001:db8::/64", LastDay: today, Calls: calls(0, 2)}}},
		manage.ByAgent: {Total: 3, Sources: []manage.Source{
			{Value: "HarbourBank/2.0", LastDay: today, Calls: calls(2, 1)},
			{Value: crawler.Agent[:64], LastDay: today, Calls: calls(0, 2)},
			{Value: "(no User-Agent)", LastDay: today, Calls: calls(0, 1)},
		}},
	}
	again := usage.NewSources(openAt(t, path), at(&now))
	for kind, list := range want {
		if diff := cmp.Diff(list, who(t, s, kind)); diff != "" {
			t.Errorf("by %s:\n%s", kind, diff)
		}
		if diff := cmp.Diff(list, who(t, again, kind)); diff != "" {
			t.Errorf("by %s, after a restart:\n%s", kind, diff)
		}
	}
	for name, test := range map[string]struct {
		kind   manage.SourceKind
		change func(*manage.SourceQuery)
		want   string // value: served, refused
		total  int
	}{
		"a stage":          {manage.ByAddress, func(q *manage.SourceQuery) { q.Stage = "user-session" }, "192.0.2.1: 2, 1", 1},
		"an app":           {manage.ByAgent, func(q *manage.SourceQuery) { q.App = "mobile" }, "HarbourBank/2.0: 2, 1", 1},
		"one day":          {manage.ByUser, func(q *manage.SourceQuery) { q.Days = 1 }, "alice: 1, 1", 1},
		"searched for":     {manage.ByAgent, func(q *manage.SourceQuery) { q.Search = "crawl" }, crawler.Agent[:64] + ": 0, 2", 1},
		"no pattern":       {manage.ByAgent, func(q *manage.SourceQuery) { q.Search = "%" }, "", 0},
		"the second":       {manage.ByAddress, func(q *manage.SourceQuery) { q.From, q.Limit = 1, 1 }, "2001:db8::/64: 0, 2", 2},
		"of another stage": {manage.ByUser, func(q *manage.SourceQuery) { q.Stage = "tls" }, "", 0},
	} {
		list := who(t, s, test.kind, test.change)
		got := ""
		for _, source := range list.Sources {
			got += fmt.Sprintf("%s: %d, %d", source.Value, source.Served, source.Refused)
		}
		if got != test.want || list.Total != test.total {
			t.Errorf("%s: %q of %d", name, got, list.Total)
		}
	}
	if _, err := s.Query(t.Context(), manage.SourceQuery{Kind: "colour", Days: 1, Limit: 1}); !errors.Is(err, usage.ErrKind) {
		t.Errorf("a kind that there is not: %v", err)
	}

	now = noon.AddDate(0, 0, 29) // yesterday's are too old
	s.Count(now, alice, true)
	if list := who(t, s, manage.ByUser, func(q *manage.SourceQuery) { q.Days = 100 }); list.Sources[0].Calls != calls(2, 1) {
		t.Errorf("after a month: %+v", list)
	}
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := who(t, s, manage.ByUser); list.Total != 0 {
		t.Errorf("after a reset: %+v", list)
	}
}

// TestInventedSources floods the statistics with user agents and addresses. Those of the app
// stay, sums are right, and neither memory nor the database grows with the flood.
func TestInventedSources(t *testing.T) {
	t.Parallel()
	now := noon
	s := usage.NewSources(openAt(t, filepath.Join(t.TempDir(), "usage.db")), at(&now))
	genuine := usage.Source{Stage: "tls", App: "mobile", Address: home, Agent: "HarbourBank/1.0"}
	invented := func(i int) usage.Source {
		var address [16]byte
		address[0], address[1], address[6], address[7] = 0x20, 0x01, byte(i>>8), byte(i)
		return usage.Source{Stage: "tls", Address: netip.AddrFrom16(address), Agent: fmt.Sprintf("HarbourBank/%d %s", i, strings.Repeat("x", 10_000))}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const flood = 20_000
	for i := range flood {
		s.Count(now, invented(i), false)
	}
	s.Count(now, genuine, true) // comes last, and is listed all the same
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes for %d invented sources", grown, flood)
	}
	for _, kind := range []manage.SourceKind{manage.ByAddress, manage.ByAgent} {
		list := who(t, s, kind, func(q *manage.SourceQuery) { q.Limit = 2000 })
		if list.Total > 1000 {
			t.Errorf("by %s: %d are listed", kind, list.Total)
		}
		sum, found := list.Others.Refused, int64(0)
		for _, source := range list.Sources {
			sum += source.Refused
			found += source.Served
		}
		if sum != flood || found != 1 {
			t.Errorf("by %s: %d refused and %d served, want %d and 1", kind, sum, found, flood)
		}
	}
}

// TestSourcesWhileFlushing loses and doubles nothing.
func TestSourcesWhileFlushing(t *testing.T) {
	t.Parallel()
	now := noon
	s := usage.NewSources(openAt(t, filepath.Join(t.TempDir(), "usage.db")), at(&now))
	alice := usage.Source{Stage: "user-session", User: "alice", Address: home, Agent: "HarbourBank/2.0"}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 500 {
				s.Count(now, alice, true)
			}
		})
	}
	for range 10 {
		cancelled, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Flush(cancelled); err == nil && len(who(t, s, manage.ByUser).Sources) == 0 {
			continue // there was nothing to write
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
	if list := who(t, s, manage.ByUser); list.Sources[0].Served != 2000 {
		t.Errorf("%+v, want 2000 calls", list)
	}
}

// A call from where others came before allocates nothing.
func TestSourcesAllocateNothing(t *testing.T) {
	now := noon
	s := usage.NewSources(openAt(t, filepath.Join(t.TempDir(), "usage.db")), at(&now))
	from := usage.Source{Stage: "tls", App: "mobile", Address: home, Agent: "HarbourBank/1.0"}
	s.Count(now, from, true)
	if n := testing.AllocsPerRun(1000, func() { s.Count(now, from, true) }); n > 0 {
		t.Errorf("%g allocations a call", n)
	}
}

func BenchmarkSources(b *testing.B) {
	s := usage.NewSources(nil, nil)
	from := usage.Source{Stage: "tls", App: "harbour-mobile", User: "alice", Address: home, Agent: "HarbourBank/1.0"}
	b.ReportAllocs()
	for b.Loop() {
		s.Count(noon, from, true)
	}
}
