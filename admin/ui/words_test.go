package ui

import (
	"strings"
	"testing"
	"time"

	"keyladder/stages/catalog"
)

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for want, at := range map[string]time.Time{
		"just now": now, "5 s ago": now.Add(-5 * time.Second), "3 min ago": now.Add(-200 * time.Second),
		"2 h ago": now.Add(-2 * time.Hour), "2026-11-19": now.Add(-48 * time.Hour),
	} {
		if got := Ago(now, at); got != want {
			t.Errorf("ago: %q, want %q", got, want)
		}
	}
	for want, n := range map[string]int64{"0": 0, "999": 999, "1,000": 1000, "-1,234,567": -1234567} {
		if got := Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %q", n, got)
		}
	}
	if got := Cut("naïve", 5); len(got) > 5 || !strings.HasPrefix("naïve", strings.TrimSuffix(got, "…")) {
		t.Errorf("cut: %q", got)
	}
}

func TestWordsForTheFuture(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for want, d := range map[string]time.Duration{
		"now": -time.Second, "in 5 s": 5 * time.Second, "in 3 min": 200 * time.Second,
		"in 2 h 5 min": 125 * time.Minute, "2026-11-23": 48 * time.Hour,
	} {
		if got := Whenever(now, now.Add(d)); got != want {
			t.Errorf("whenever: %q, want %q", got, want)
		}
	}
	for want, count := range map[string]int{"": 0, "1": 1, "1 and 2": 2, "1, 2 and 3": 3} {
		if got := stageNumbers(catalog.All()[:count]); got != want {
			t.Errorf("stageNumbers: %q, want %q", got, want)
		}
	}
}
