package replay_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyladder/stages/mechanism/replay"
)

const skew = 60 * time.Second

var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

func TestAdd(t *testing.T) {
	t.Parallel()
	c := replay.New(replay.Config{Skew: skew, Limit: 100})
	for _, test := range []struct {
		name      string
		id, nonce string
		ts        int64
		want      error
	}{
		{"first", "harbour-mobile", "abc", noon.Unix(), nil},
		{"again", "harbour-mobile", "abc", noon.Unix(), replay.ErrSeen},
		{"another nonce", "harbour-mobile", "abd", noon.Unix(), nil},
		{"another time", "harbour-mobile", "abc", noon.Unix() + 1, nil},
		{"another ID", "harbour-ops", "abc", noon.Unix(), nil},
		{"ID and nonce cut elsewhere", "harbour-mobilea", "bc", noon.Unix(), nil},
		{"oldest", "a", "n", noon.Unix() - 60, nil},
		{"oldest, again", "a", "n", noon.Unix() - 60, replay.ErrSeen},
		{"newest", "a", "n", noon.Unix() + 60, nil},
		{"newest, again", "a", "n", noon.Unix() + 60, replay.ErrSeen},
		{"too old", "a", "n", noon.Unix() - 61, replay.ErrOutside},
		{"too new", "a", "n", noon.Unix() + 61, replay.ErrOutside},
		{"one whole window ago", "a", "n", noon.Unix() - 121, replay.ErrOutside},
		{"the beginning of time", "a", "n", 0, replay.ErrOutside},
		{"before the beginning of time", "a", "n", math.MinInt64, replay.ErrOutside},
		{"the end of time", "a", "n", math.MaxInt64, replay.ErrOutside},
	} {
		if err := c.Add(noon, test.id, test.ts, test.nonce); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if got := c.Len(noon); got != 7 {
		t.Errorf("%d nonces, want 7", got)
	}
}

// TestWholeWindow repeats calls of clients whose clocks are fast, right and slow, in
// every second until they are too old.
func TestWholeWindow(t *testing.T) {
	t.Parallel()
	for _, ahead := range []int64{60, 59, 1, 0, -1, -59, -60} {
		t.Run(strconv.FormatInt(ahead, 10), func(t *testing.T) {
			t.Parallel()
			c := replay.New(replay.Config{Skew: skew, Limit: 1000})
			ts := noon.Unix() + ahead
			if err := c.Add(noon, "a", ts, "n"); err != nil {
				t.Fatal(err)
			}
			last := time.Unix(ts, 0).Add(skew)
			for now := noon; !now.After(last); now = now.Add(250 * time.Millisecond) {
				if err := c.Add(now, "a", ts, "n"); !errors.Is(err, replay.ErrSeen) {
					t.Fatalf("%v later: got %v, want %v", now.Sub(noon), err, replay.ErrSeen)
				}
			}
			after := last.Add(time.Nanosecond)
			if err := c.Add(after, "a", ts, "n"); !errors.Is(err, replay.ErrOutside) {
				t.Errorf("%v later: got %v, want %v", after.Sub(noon), err, replay.ErrOutside)
			}
			if n := c.Len(after); n != 0 {
				t.Errorf("%d nonces are still there", n)
			}
		})
	}
}

// TestBound fills a cache that is made for 5,000 calls a second.
func TestBound(t *testing.T) {
	t.Parallel()
	limit := replay.Limit(5000, skew)
	if limit < 600_000 {
		t.Fatalf("the limit for 5,000 calls a second is %d", limit)
	}
	c := replay.New(replay.Config{Skew: skew, Limit: limit})
	ts := func(i int) int64 { return noon.Unix() - 60 + int64(i%121) }
	for i := range limit {
		if err := c.Add(noon, "a", ts(i), strconv.Itoa(i)); err != nil {
			t.Fatalf("nonce %d: %v", i, err)
		}
	}
	for range 3 {
		if err := c.Add(noon, "a", noon.Unix(), "one more"); !errors.Is(err, replay.ErrFull) {
			t.Fatalf("got %v, want %v", err, replay.ErrFull)
		}
	}
	for i := range limit {
		if err := c.Add(noon, "a", ts(i), strconv.Itoa(i)); !errors.Is(err, replay.ErrSeen) {
			t.Fatalf("nonce %d was forgotten: %v", i, err)
		}
	}
	if got := c.Len(noon); got != limit {
		t.Errorf("%d nonces, want %d", got, limit)
	}
	// A second later one group has left, and there is room for as many.
	later := noon.Add(time.Second)
	room := limit - c.Len(later)
	if room != limit/121 {
		t.Errorf("room for %d, want %d", room, limit/121)
	}
	for i := range room {
		if err := c.Add(later, "b", later.Unix(), strconv.Itoa(i)); err != nil {
			t.Fatalf("nonce %d of those that have room: %v", i, err)
		}
	}
	if err := c.Add(later, "b", later.Unix(), "one more"); !errors.Is(err, replay.ErrFull) {
		t.Errorf("got %v, want %v", err, replay.ErrFull)
	}
}

// TestAtOnce lets copies of a call arrive together.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	c := replay.New(replay.Config{Skew: skew, Limit: 1000})
	for call := range 50 {
		var wait sync.WaitGroup
		results := make(chan error, 20)
		for range cap(results) {
			wait.Go(func() { results <- c.Add(noon, "a", noon.Unix(), strconv.Itoa(call)) })
		}
		wait.Wait()
		close(results)
		fresh := 0
		for err := range results {
			if err == nil {
				fresh++
			} else if !errors.Is(err, replay.ErrSeen) {
				t.Error(err)
			}
		}
		if fresh != 1 {
			t.Errorf("%d copies of call %d were let in", fresh, call)
		}
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c := replay.New(replay.Config{Skew: skew, Limit: 1000})
	add := func(now time.Time, ts time.Time) error { return c.Add(now, "a", ts.Unix(), "n") }
	if err := add(noon, noon); err != nil {
		t.Fatal(err)
	}
	later := noon.Add(time.Hour)
	if err := add(later, later); err != nil {
		t.Fatal(err)
	}
	if err := add(noon, noon); !errors.Is(err, replay.ErrOutside) {
		t.Errorf("a call that was forgotten: got %v, want %v", err, replay.ErrOutside)
	}
	back := later.Add(-30 * time.Second)
	if err := add(back, later); !errors.Is(err, replay.ErrSeen) {
		t.Errorf("a call that is remembered: got %v, want %v", err, replay.ErrSeen)
	}
	if err := add(back, back); err != nil {
		t.Errorf("a new call: %v", err)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	c := replay.New(replay.Config{Skew: skew, Limit: 1000, Start: noon.Add(300 * time.Millisecond)})
	now := noon.Add(500 * time.Millisecond)
	if err := c.Add(now, "a", noon.Unix()-1, "n"); !errors.Is(err, replay.ErrOutside) {
		t.Errorf("a call from before: got %v, want %v", err, replay.ErrOutside)
	}
	if err := c.Add(now, "a", noon.Unix(), "n"); err != nil {
		t.Errorf("a call of the first second: %v", err)
	}
}

// TestLatest is about what the next memory has to know.
func TestLatest(t *testing.T) {
	t.Parallel()
	c := replay.New(replay.Config{Skew: skew, Limit: 3})
	if got := c.Latest(); !got.IsZero() {
		t.Errorf("%v before there was a call", got)
	}
	for _, call := range []struct {
		ts    int64
		nonce string
	}{{noon.Unix() + 50, "fast"}, {noon.Unix(), "right"}, {noon.Unix() + 61, "refused"}, {noon.Unix() - 50, "slow"}, {noon.Unix() + 55, "too many"}} {
		_ = c.Add(noon, "a", call.ts, call.nonce)
	}
	if got := c.Latest(); !got.Equal(noon.Add(50 * time.Second)) {
		t.Errorf("got %v", got)
	}
}

func TestUndecided(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config replay.Config
		want   error
	}{
		"nothing":       {replay.Config{}, replay.ErrFull},
		"no limit":      {replay.Config{Skew: skew}, replay.ErrFull},
		"negative skew": {replay.Config{Skew: -skew, Limit: -1}, replay.ErrFull},
		"long ago":      {replay.Config{Skew: skew, Start: time.Unix(-1000, 0)}, replay.ErrFull},
	} {
		if err := replay.New(test.config).Add(noon, "a", noon.Unix(), "n"); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// TestModel compares the cache with a list that never forgets.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		window := time.Duration(rapid.IntRange(0, 3).Draw(t, "skew")) * time.Second
		c := replay.New(replay.Config{Skew: window, Limit: limit})
		now := noon
		seen := map[string]int64{}
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "pause")) * time.Millisecond)
			if rapid.IntRange(0, 20).Draw(t, "sleep") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "long pause")) * time.Second)
			}
			ts := now.Unix() + rapid.Int64Range(-4, 4).Draw(t, "offset")
			nonce := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "nonce")

			call := fmt.Sprint(ts, nonce)
			live := 0
			for _, at := range seen {
				if now.Sub(time.Unix(at, 0)) <= window {
					live++
				}
			}
			var want, wantSeen error
			switch _, before := seen[call]; {
			case now.Sub(time.Unix(ts, 0)).Abs() > window:
				want, wantSeen = replay.ErrOutside, replay.ErrOutside
			case before:
				want, wantSeen = replay.ErrSeen, replay.ErrSeen
			case live >= limit:
				want = replay.ErrFull
			default:
				seen[call] = ts
				live++
			}
			if err := c.Seen(now, "id", ts, nonce); !errors.Is(err, wantSeen) {
				t.Fatalf("at %v, ts %d, nonce %s: seen says %v, want %v", now, ts, nonce, err, wantSeen)
			}
			if err := c.Add(now, "id", ts, nonce); !errors.Is(err, want) {
				t.Fatalf("at %v, ts %d, nonce %s: got %v, want %v", now, ts, nonce, err, want)
			}
			if got := c.Len(now); got != live {
				t.Fatalf("%d nonces, want %d", got, live)
			}
		}
	})
}

// BenchmarkAdd keeps 300,000 nonces alive: 5,000 calls a second, clocks that are right.
func BenchmarkAdd(b *testing.B) {
	const perSecond, live = 5000, 300_000
	c := replay.New(replay.Config{Skew: skew, Limit: replay.Limit(perSecond, skew)})
	add := func(i int) {
		now := noon.Add(time.Duration(i) * time.Second / perSecond)
		if err := c.Add(now, "harbour-mobile", now.Unix(), "YBKSYO2TZ3BJYFHCBFCTBHPK"+strconv.Itoa(i)); err != nil {
			b.Fatal(err)
		}
	}
	before := heap()
	for i := range live {
		add(i)
	}
	perNonce := float64(heap()-before) / live
	i := live
	b.ReportAllocs()
	for b.Loop() {
		add(i)
		i++
	}
	b.ReportMetric(perNonce, "bytes/nonce")
	b.ReportMetric(float64(c.Len(noon.Add(time.Duration(i)*time.Second/perSecond))), "nonces")
}

// BenchmarkAddAtOnce is the same from all processors.
func BenchmarkAddAtOnce(b *testing.B) {
	c := replay.New(replay.Config{Skew: skew, Limit: math.MaxInt})
	var mu sync.Mutex
	worker := 0
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		worker++
		id := strconv.Itoa(worker)
		mu.Unlock()
		for i := 0; pb.Next(); i++ {
			if err := c.Add(noon, id, noon.Unix()+int64(i%60), strconv.Itoa(i)); err != nil {
				b.Error(err)
			}
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
