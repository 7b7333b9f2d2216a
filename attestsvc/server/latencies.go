package server

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// latencies count how long answers took, the good and the failing ones apart.
type latencies struct {
	mu      sync.Mutex
	byLevel map[catalog.Level]*manage.Latencies
}

// latencyBounds are the upper ends of the columns, in milliseconds: each is a quarter longer than
// the one before.
var latencyBounds = func() (bounds []float64) {
	for bound := 0.1; bound < 2000; bound *= 1.25 {
		bounds = append(bounds, bound)
	}
	return bounds
}()

func newLatencies() *latencies { return &latencies{byLevel: map[catalog.Level]*manage.Latencies{}} }

func (l *latencies) note(at catalog.Level, good bool, took time.Duration) {
	column, _ := slices.BinarySearch(latencyBounds, float64(took)/float64(time.Millisecond))
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.byLevel[at]
	if of == nil {
		of = &manage.Latencies{Level: at, Bounds: latencyBounds, Good: make([]int64, len(latencyBounds)+1), Failing: make([]int64, len(latencyBounds)+1)}
		l.byLevel[at] = of
	}
	if good {
		of.Good[column]++
	} else {
		of.Failing[column]++
	}
}

// all are the latencies of the levels that occurred.
func (l *latencies) all() []manage.Latencies {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []manage.Latencies{}
	for _, of := range l.byLevel {
		shown := *of
		shown.Good, shown.Failing = slices.Clone(of.Good), slices.Clone(of.Failing)
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b manage.Latencies) int { return cmp.Compare(b.Level, a.Level) })
	return all
}
