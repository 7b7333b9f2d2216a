package resource

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
)

// metrics are for operators, who need not know any app's name: its first key equals it.
type metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec

	mu     sync.RWMutex
	series map[seriesID]series // finding them by their labels takes longer than counting
}

type seriesID struct {
	stage, route string
	check        catalog.Check
}

type series struct {
	calls    prometheus.Counter
	duration prometheus.Observer
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		series: map[seriesID]series{},
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyladder_calls_total",
			Help: "API calls by stage and route. The outcome is served, or the check that refused.",
		}, []string{"stage", "route", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "keyladder_call_duration_seconds",
			Help:    "Time from a call's head to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}, []string{"stage", "route"}),
	}
	registry.MustRegister(m.calls, m.duration)
	return m
}

func (m *metrics) observe(o guard.Outcome) {
	id := seriesID{o.Stage, o.Route, o.Check}
	m.mu.RLock()
	s, ok := m.series[id]
	m.mu.RUnlock()
	if !ok {
		s = m.seriesOf(o)
		m.mu.Lock()
		m.series[id] = s
		m.mu.Unlock()
	}
	s.calls.Inc()
	s.duration.Observe(o.Duration.Seconds())
}

func (m *metrics) seriesOf(o guard.Outcome) series {
	stage, outcome := o.Stage, string(o.Check)
	if stage == "" {
		stage = "unknown" // whatever the client wrote would be a time series of its own
	}
	if outcome == "" {
		outcome = "served"
	}
	return series{calls: m.calls.WithLabelValues(stage, o.Route, outcome), duration: m.duration.WithLabelValues(stage, o.Route)}
}
