package replay

import (
	"sync"
	"sync/atomic"
	"time"
)

// markLead is how far a mark is written ahead of what it has to cover, and so how long clients
// with right clocks may have to wait when a server was killed and begins anew.
const markLead = 6 * time.Second

// Mark is what has to outlive a server of what it remembers: a time, up to which calls may
// have been served. A memory of nonces ends with its server, however that ends, and the next
// server must refuse whatever the lost one may hold. So the mark is written ahead: it is
// durable before anything is served that was signed for that time, and a server that is
// killed loses nothing. One that ends in order writes the exact time.
//
// It is good for whatever is to be used once and carries a time: nonces, proofs, challenges.
type Mark struct {
	config MarkConfig
	until  atomic.Int64 // in seconds; durable

	mu sync.Mutex // held while a time is written
}

// MarkConfig is what a mark needs.
type MarkConfig struct {
	// Resumed says that there was a server before this one.
	Resumed bool
	// Before is what it has written. Zero: nothing.
	Before time.Time
	// Skew is how far clocks may be apart, as in [Config].
	Skew time.Duration
	// Write writes a time durably: when it returns nil, the time outlives the machine's power.
	Write func(time.Time) error
}

// NewMark is a mark that covers nothing yet.
func NewMark(config MarkConfig) *Mark { return &Mark{config: config} }

// Begins is the first second of which a memory that begins now knows everything. Zero: there
// was no memory before, so it knows all.
func (m *Mark) Begins(now time.Time) time.Time {
	if m == nil || !m.config.Resumed {
		return time.Time{}
	}
	begins := now
	if m.config.Before.After(now) {
		begins = m.config.Before
	}
	// A time that clocks can't be ahead by was told by one that has been set back since. Who
	// believed it would serve nobody until then.
	if limit := now.Add(m.config.Skew); begins.After(limit) {
		begins = limit
	}
	return begins.Truncate(time.Second).Add(time.Second) // that second is one of which we do not know all
}

// Advance keeps the mark ahead of the clock, so that calls need not wait until it is written.
// Call it each second or so. It writes every few seconds.
func (m *Mark) Advance(now time.Time) error { return m.cover(now.Add(markLead / 2)) }

// cover makes sure that the mark covers a time, before anything is served that was signed
// for it. [Mark.Advance] has seen to it for right clocks; for one that is fast it may have to
// be written now, once in a few seconds at most.
func (m *Mark) cover(t time.Time) error {
	if m == nil || m.covers(t.Unix()) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.covers(t.Unix()) {
		return nil
	}
	return m.write(t.Add(markLead / 2))
}

func (m *Mark) covers(second int64) bool { return m == nil || second <= m.until.Load() }

// write needs mu.
func (m *Mark) write(until time.Time) error {
	until = until.Truncate(time.Second)
	if err := m.config.Write(until); err != nil {
		return err
	}
	m.until.Store(until.Unix())
	return nil
}

// Close writes the exact time when nothing is served any more. Latest is the latest that
// anything was remembered for; zero: nothing was.
func (m *Mark) Close(latest time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until.Load() == 0 {
		return nil // what the server before this one has written is still right
	}
	if m.config.Before.After(latest) {
		latest = m.config.Before
	}
	return m.write(latest)
}
