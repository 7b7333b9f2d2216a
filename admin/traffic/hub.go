package traffic

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"keyladder/admin/programs"
	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
)

const (
	hubMessages = 4000     // messages that the hub keeps
	hubBytes    = 24 << 20 // and how much of them, in bytes
	longPoll    = 10 * time.Second
)

// record is a message with the number under which this process knows it.
type record struct {
	ID uint64
	traffic.Message
	gap bool // no message, but that some are missing here; of which stages is not known
}

// hub holds the traffic of all programs, in bounded memory: the oldest go first.
type hub struct {
	programs  []programs.Remote
	followers []*feed.Follower[traffic.Message] // of the programs, in their order

	mu      sync.Mutex
	records []record // in the order in which they came, so by ID
	bytes   int
	last    uint64 // ID of the newest record
	changed chan struct{}
}

func newHub(of ...programs.Remote) *hub {
	h := &hub{programs: of, changed: make(chan struct{})}
	for _, program := range of {
		h.followers = append(h.followers, &feed.Follower[traffic.Message]{
			Feed: manage.Traffic(program), Wait: longPoll,
			Apply: func(_ context.Context, page feed.Page[traffic.Message]) error {
				h.take(program.Role, page)
				return nil
			},
		})
	}
	return h
}

// run listens to all programs until ctx ends.
func (h *hub) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, follower := range h.followers {
		wg.Go(func() { follower.Run(ctx) })
	}
	wg.Wait()
}

// down are the programs that did not answer when they were asked last.
func (h *hub) down() []deployment.Role {
	var down []deployment.Role
	for i, program := range h.programs {
		if h.followers[i].Health().Err != nil {
			down = append(down, program.Role)
		}
	}
	return down
}

// take adds what a program told, after a note of what it no longer had when it was asked.
func (h *hub) take(program deployment.Role, page feed.Page[traffic.Message]) {
	var records []record
	if page.Cut > 0 {
		records = append(records, record{Message: gapNote(program, page), gap: true})
	}
	for _, m := range page.Entries {
		records = append(records, record{Message: m})
	}
	h.add(records)
}

// gapNote stands where messages are missing.
func gapNote(program deployment.Role, page feed.Page[traffic.Message]) traffic.Message {
	m := traffic.Message{
		At: time.Now(), Lane: traffic.App, Program: string(program), Kind: traffic.Note, From: string(program), To: string(program),
		Summary: fmt.Sprintf("%d messages were dropped before they were read", page.Cut),
	}
	if page.Cut == 1 {
		m.Summary = "1 message was dropped before it was read"
	}
	if slices.Contains(deployment.Servers(), program) {
		m.Lane = traffic.Server
	}
	if len(page.Entries) > 0 {
		m.At = page.Entries[0].At
	}
	return m
}

func (h *hub) add(records []record) {
	if len(records) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range records {
		h.last++
		r.ID = h.last
		h.records = append(h.records, r)
		h.bytes += weight(r.Message)
	}
	drop := 0
	for drop < len(h.records) && (len(h.records)-drop > hubMessages || h.bytes > hubBytes) {
		h.bytes -= weight(h.records[drop].Message)
		drop++
	}
	h.records = slices.Delete(h.records, 0, drop)
	h.signal()
}

func weight(m traffic.Message) int {
	size := 512 + len(m.Head) + len(m.Body) + len(m.Summary) + len(m.Base)
	if m.Verdict != nil {
		size += len(m.Verdict.Reason)
	}
	return size
}

// signal wakes those who wait; h.mu is held.
func (h *hub) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// since returns the records of a stage (empty: of all) that came after id, with all gaps, in
// order of time, and the ID up to which it looked.
func (h *hub) since(id uint64, stage string) ([]record, uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []record
	for _, r := range h.records {
		if r.ID > id && (stage == "" || r.Stage == stage || r.gap) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b record) int { return a.At.Compare(b.At) })
	return found, h.last
}

// await is since, but waits for a record until ctx ends.
func (h *hub) await(ctx context.Context, id uint64, stage string) ([]record, uint64) {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		found, last := h.since(id, stage)
		if len(found) > 0 {
			return found, last
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, last
		}
	}
}

func (h *hub) get(id uint64) (record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, found := slices.BinarySearchFunc(h.records, id, func(r record, id uint64) int { return cmp.Compare(r.ID, id) })
	if !found {
		return record{}, false
	}
	return h.records[i], true
}

func (h *hub) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records, h.bytes = nil, 0
	h.signal()
}

// Judged is the server's record of a call that it has decided about.
type Judged struct {
	ID      uint64 // of the message
	Verdict traffic.Verdict
}

// Judged waits, for a moment, until the server has told what it decided about the call of an
// exchange.
func (t *Traffic) Judged(ctx context.Context, stage, exchange string) (Judged, bool) {
	ctx, cancel := context.WithTimeout(ctx, judgedWait)
	defer cancel()
	for last := uint64(0); ; {
		var records []record
		records, last = t.hub.await(ctx, last, stage)
		for _, r := range records {
			if r.Exchange == exchange && r.Lane == traffic.Server && r.Verdict != nil {
				return Judged{ID: r.ID, Verdict: *r.Verdict}, true
			}
		}
		if ctx.Err() != nil {
			return Judged{}, false
		}
	}
}

// judgedWait is how long a page waits for a record, which comes within some milliseconds
// where anybody listens.
const judgedWait = 3 * time.Second
