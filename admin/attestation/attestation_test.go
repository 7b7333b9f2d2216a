package attestation

import (
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
)

func TestHistogram(t *testing.T) {
	t.Parallel()
	h := drawLatencies(manage.Latencies{
		Level: "package-hash", Bounds: []float64{0.1, 1, 10, 100}, Good: []int64{0, 1, 0, 999, 0}, Failing: []int64{0, 0, 0, 5, 5},
	})
	if len(h.Columns) != 4 || h.Columns[0].Up != "to 1.0" || h.Columns[3].Up != "more" {
		t.Fatalf("columns without answers at its ends, or answers without a column: %+v", h.Columns)
	}
	if h.Top != 1 || h.Good != 1000 || h.Failing != 10 {
		t.Errorf("up to %v, of %d and %d", h.Top, h.Good, h.Failing)
	}
	if one, none := h.Columns[0], h.Columns[1]; one.GoodY >= histogramFloor || none.GoodY != histogramFloor || one.FailingY != histogramFloor {
		t.Errorf("a column with answers looks like one without: %+v, %+v", one, none)
	}
	if half := h.Columns[2].FailingY; half != histogramFloor-(histogramFloor-histogramTop)/2 {
		t.Errorf("half of its kind is at %d", half)
	}
	for _, c := range h.Columns {
		if c.X < histogramLeft || c.X+2*c.Width > histogramWidth {
			t.Errorf("it is outside of the chart: %+v", c)
		}
	}
	if empty := drawLatencies(manage.Latencies{Bounds: []float64{1}, Good: []int64{0, 0}, Failing: []int64{0, 0}}); len(empty.Columns) != 0 {
		t.Errorf("columns of nothing: %+v", empty.Columns)
	}
}

func TestWhetherTimesDiffer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		good, failing []int64
		want          string
	}{
		"the same":          {[]int64{50, 50}, []int64{26, 24}, "does not tell which kind it is"},
		"far apart":         {[]int64{100, 0}, []int64{0, 50}, "there is a difference"},
		"one kind is slow":  {[]int64{500, 500}, []int64{300, 700}, "there is a difference"},
		"too few to be so":  {[]int64{25, 5}, []int64{20, 10}, "does not tell which kind it is"},
		"too few to say so": {[]int64{1000, 0}, []int64{0, 19}, "It takes 20 answers"},
		"none":              {[]int64{0, 0}, []int64{0, 0}, "It takes 20 answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := verdict(manage.Latencies{Bounds: []float64{1}, Good: tt.good, Failing: tt.failing}); !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	token := func(issued time.Duration) manage.Attestation {
		return manage.Attestation{At: at.Add(issued), ExpiresAt: at.Add(issued + time.Minute)}
	}
	c := drawClock([]manage.Attestation{token(-time.Hour), token(0), token(50 * time.Second), token(2 * time.Minute)}, at.Add(130*time.Second))
	if len(c.Tokens) != 3 || !c.Now || c.NowX <= clockLeft || c.NowX >= clockRight {
		t.Fatalf("%+v", c)
	}
	first, second, last := c.Tokens[0], c.Tokens[1], c.Tokens[2]
	if first.X != clockLeft || last.X+last.Width != clockRight || first.RenewedX != second.X || second.X <= first.X {
		t.Errorf("laid out as %+v", c.Tokens)
	}
	if !first.InTime() || first.Ahead != 10*time.Second || second.InTime() || second.RenewedWords(at) != "10s after it had expired" || last.Renewed != nil {
		t.Errorf("renewed %v and %v ahead; %q", first.Ahead, second.Ahead, second.RenewedWords(at))
	}
	if past := drawClock([]manage.Attestation{token(0)}, at.Add(time.Hour)); past.Now || past.Tokens[0].RenewedWords(at.Add(time.Hour)) != "not since" {
		t.Errorf("an hour later: %+v", past)
	}
	if none := drawClock(nil, at); len(none.Tokens) != 0 {
		t.Errorf("%+v", none)
	}
}

func TestChancesInWords(t *testing.T) {
	t.Parallel()
	for missed, want := range map[float64]string{
		0: "never", 1: "practically always", 0.975: "97.5 times of 100", 0.01: "1.0 times of 100", 0.002: "once in 500 times", 1e-9: "less than once in a million times",
	} {
		if got := chance(missed); got != want {
			t.Errorf("%v: %q, want %q", missed, got, want)
		}
	}
	c := manage.Coverage{Size: 1 << 20, Ranges: 64, Bytes: 4096, Missed: 0.78, Seconds: 60}
	if got := asked(c); got != "at most 25.0 %" {
		t.Errorf("asked for %s", got)
	}
	if perHour(c) != 60 || inAnHour(c) > 1e-6 || perHour(manage.Coverage{}) != 0 || inAnHour(manage.Coverage{Missed: 0.5}) != 1 {
		t.Errorf("%d in an hour, of which all miss it with %v", perHour(c), inAnHour(c))
	}
}
