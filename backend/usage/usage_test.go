package usage_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"keyladder/backend/usage"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(now *time.Time) func() time.Time { return func() time.Time { return *now } }

func openAt(t *testing.T, path string) *gorm.DB {
	t.Helper()
	db, err := store.Open(path, usage.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	return db
}

func latest(t *testing.T, c *usage.Counter, days int) []manage.Usage {
	t.Helper()
	counts, err := c.Latest(context.Background(), days)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func flush(t *testing.T, c *usage.Counter) {
	t.Helper()
	if err := c.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "usage.db")
	now := noon.AddDate(0, 0, -1)
	c := usage.New(openAt(t, path), at(&now))
	c.Count(now, "a", "tls", "GET /v1/rates", true)
	flush(t, c)
	now = noon
	c.Count(now, "a", "tls", "GET /v1/rates", true)
	c.Count(now, "a", "tls", "GET /v1/rates", false)
	flush(t, c)
	c.Count(now, "a", "tls", "GET /v1/rates", true)
	c.Count(now, "", "tls", "GET /v1/rates", false)
	want := []manage.Usage{
		{Day: "2026-11-21", App: "", Stage: "tls", Route: "GET /v1/rates", Refused: 1},
		{Day: "2026-11-21", App: "a", Stage: "tls", Route: "GET /v1/rates", Served: 2, Refused: 1},
		{Day: "2026-11-20", App: "a", Stage: "tls", Route: "GET /v1/rates", Served: 1},
	}
	if diff := cmp.Diff(want, latest(t, c, 30)); diff != "" {
		t.Errorf("with counts that are not written yet:\n%s", diff)
	}
	flush(t, c)
	flush(t, c) // nothing is added twice
	if diff := cmp.Diff(want, latest(t, usage.New(openAt(t, path), at(&now)), 2)); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}
	if diff := cmp.Diff(want[:2], latest(t, c, 1)); diff != "" {
		t.Errorf("of one day:\n%s", diff)
	}
	c.Count(now, "a", "tls", "GET /v1/rates", true)
	if err := c.Reset(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := latest(t, c, 30); len(left) != 0 {
		t.Errorf("after a reset: %v", left)
	}
}

// TestCountsWhileFlushing loses and doubles nothing.
func TestCountsWhileFlushing(t *testing.T) {
	t.Parallel()
	now := noon
	c := usage.New(openAt(t, filepath.Join(t.TempDir(), "usage.db")), at(&now))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 500 {
				c.Count(now, "a", "tls", "GET /v1/rates", true)
			}
		})
	}
	last := int64(0)
	for range 20 {
		flush(t, c)
		if counts := latest(t, c, 1); len(counts) == 1 {
			if counts[0].Served < last {
				t.Fatalf("the count went from %d to %d", last, counts[0].Served)
			}
			last = counts[0].Served
		}
	}
	wait.Wait()
	flush(t, c)
	if counts := latest(t, c, 1); counts[0].Served != 2000 {
		t.Errorf("%d calls were counted, want 2000", counts[0].Served)
	}
}

// TestFlushFails keeps the counts for the next time.
func TestFlushFails(t *testing.T) {
	t.Parallel()
	now := noon
	c := usage.New(openAt(t, filepath.Join(t.TempDir(), "usage.db")), at(&now))
	c.Count(now, "a", "tls", "GET /v1/rates", true)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Flush(cancelled); err == nil {
		t.Fatal("nothing failed")
	}
	c.Count(now, "a", "tls", "GET /v1/rates", true)
	flush(t, c)
	if counts := latest(t, c, 1); len(counts) != 1 || counts[0].Served != 2 {
		t.Errorf("%v", counts)
	}
}
