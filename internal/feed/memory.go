package feed

import (
	"context"
	"sync"
	"time"
)

// Limits bound what a feed keeps.
type Limits struct {
	Entries int
	Bytes   int
}

// Memory is a feed that is kept in memory. Appending never waits for readers. It is safe for
// concurrent use.
type Memory[T any] struct {
	limits Limits

	mu    sync.Mutex
	epoch string
	begin uint64     // number of the epoch's first entry
	first uint64     // of the oldest entry that is kept
	next  uint64     // of the entry that comes next
	ring  []sized[T] // the entry n is at n % len(ring)
	bytes int
	wake  chan struct{} // closed at the next change; nil: nobody waits
}

type sized[T any] struct {
	value T
	size  int
}

// NewMemory makes a feed that keeps the latest entries.
func NewMemory[T any](limits Limits) *Memory[T] {
	return &Memory[T]{limits: limits, epoch: NewEpoch(), begin: 1, first: 1, next: 1, ring: make([]sized[T], limits.Entries)}
}

// Append adds entries, one right after the other. They must not be changed any more. The size of
// one is that of its JSON, or something above it, in bytes: the limits count with it.
func (m *Memory[T]) Append(size func(*T) int, values ...T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range values {
		entry := m.at(m.next)
		if m.next-m.first == uint64(len(m.ring)) { // the oldest is where this one is going to be
			m.bytes -= entry.size
			m.first++
		}
		entry.value = values[i]
		entry.size = size(&entry.value) // of what is here: what the caller has need not be kept for it
		m.bytes += entry.size
		m.next++
		for m.bytes > m.limits.Bytes && m.next-m.first > 1 {
			m.dropOldest()
		}
	}
	m.signal()
}

func (m *Memory[T]) dropOldest() {
	oldest := m.at(m.first)
	m.bytes -= oldest.size
	*oldest = sized[T]{}
	m.first++
}

func (m *Memory[T]) at(number uint64) *sized[T] { return &m.ring[number%uint64(len(m.ring))] }

func (m *Memory[T]) signal() {
	if m.wake != nil {
		close(m.wake)
		m.wake = nil
	}
}

// Clear drops all entries and begins a new epoch. Numbers go on.
func (m *Memory[T]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.ring)
	m.bytes, m.first, m.begin, m.epoch = 0, m.next, m.next, NewEpoch()
	m.signal()
}

// End is the cursor of a reader that has read everything.
func (m *Memory[T]) End() Cursor {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Cursor{m.epoch, m.next - 1}
}

// Bytes is the size of all entries that are kept.
func (m *Memory[T]) Bytes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// Read implements [Reader].
func (m *Memory[T]) Read(ctx context.Context, after Cursor, wait time.Duration) (Page[T], error) {
	var timeout <-chan time.Time // started when it is needed
	for {
		page, wake := m.page(after, wait > 0)
		if wake == nil {
			return page, ctx.Err()
		}
		if timeout == nil {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-wake:
		case <-timeout:
			return page, nil
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
}

// page is what follows the cursor. Where that is nothing and the reader waits, the channel is
// closed when there is something.
func (m *Memory[T]) page(after Cursor, waits bool) (Page[T], <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := Page[T]{Entries: []T{}}
	from := m.begin
	switch {
	case after == (Cursor{}):
	case after.Epoch != m.epoch || after.Number >= m.next:
		page.StartOver = true
	default:
		from = max(after.Number+1, m.begin)
	}
	if from < m.first {
		page.Cut = m.first - from
		from = m.first
	}
	bytes := 0
	for ; from < m.next; from++ {
		entry := m.at(from)
		if n := len(page.Entries); n > 0 && (n == PageEntries || bytes+entry.size > PageBytes) {
			page.More = true
			break
		}
		bytes += entry.size
		page.Entries = append(page.Entries, entry.value)
	}
	page.Next = Cursor{m.epoch, from - 1}
	if len(page.Entries) > 0 || page.StartOver || page.Cut > 0 || !waits {
		return page, nil
	}
	if m.wake == nil {
		m.wake = make(chan struct{})
	}
	return page, m.wake
}

// Since returns the entries with a number above the given one that are kept, oldest first, for
// readers in the same program.
func (m *Memory[T]) Since(number uint64) (entries []T, first uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first = max(number+1, m.first)
	for n := first; n < m.next; n++ {
		entries = append(entries, m.at(n).value)
	}
	return entries, first
}
