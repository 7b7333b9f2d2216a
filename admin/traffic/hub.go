package traffic

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"keyladder/admin/programs"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
)

const (
	hubMessages = 4000     // messages that the hub keeps
	hubBytes    = 24 << 20 // and how much of them, in bytes
	longPoll    = 10 * time.Second
	firstPause  = 200 * time.Millisecond // after a program did not answer
	longPause   = 3 * time.Second
)

// record is a message with the number under which this process knows it.
type record struct {
	ID uint64
	traffic.Message
}

// hub holds the traffic of all programs, in bounded memory: the oldest go first.
type hub struct {
	programs []programs.Remote
	wait     time.Duration // of a long poll

	mu      sync.Mutex
	records []record // in the order in which they came, so by ID
	bytes   int
	last    uint64 // ID of the newest record
	changed chan struct{}
	silent  map[programs.Name]error
	asked   map[programs.Name]bool // whether a poll has ended yet, either way
}

func newHub(of ...programs.Remote) *hub {
	return &hub{
		programs: of, wait: longPoll, changed: make(chan struct{}),
		silent: map[programs.Name]error{}, asked: map[programs.Name]bool{},
	}
}

// run listens to all programs until ctx ends.
func (h *hub) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, program := range h.programs {
		wg.Go(func() { h.listen(ctx, program) })
	}
	wg.Wait()
}

// listener is how far one program's traffic has been heard.
type listener struct {
	seq uint64
	at  time.Time // of the message seq
}

func (l *listener) take(messages []traffic.Message) {
	if n := len(messages); n > 0 {
		l.seq, l.at = messages[n-1].Seq, messages[n-1].At
	}
}

func (h *hub) listen(ctx context.Context, program programs.Remote) {
	var heard listener
	pause := firstPause
	broken := false
	for ctx.Err() == nil {
		messages, err := h.next(ctx, program, &heard, broken)
		h.heard(program.Name, err)
		if err == nil {
			h.add(messages)
			pause, broken = firstPause, false
			continue
		}
		broken = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, longPause)
	}
}

// next waits for messages. A program that was started anew counts from 1 again, and
// would be silent until it reaches the old number; so after an error, and whenever
// nothing came, the last message is asked for once more and compared.
func (h *hub) next(ctx context.Context, program programs.Remote, heard *listener, broken bool) ([]traffic.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, h.wait+programs.Patience)
	defer cancel()
	if !broken {
		messages, err := manage.Traffic(ctx, program, heard.seq, h.wait)
		if err != nil || len(messages) > 0 {
			heard.take(messages)
			return messages, err
		}
	}
	if heard.seq == 0 {
		messages, err := manage.Traffic(ctx, program, 0, 0)
		heard.take(messages)
		return messages, err
	}
	messages, err := manage.Traffic(ctx, program, heard.seq-1, 0)
	if err != nil {
		return nil, err
	}
	if len(messages) > 0 && messages[0].Seq == heard.seq && messages[0].At.Equal(heard.at) {
		heard.take(messages)
		return messages[1:], nil
	}
	all, err := manage.Traffic(ctx, program, 0, 0)
	if err != nil {
		return nil, err
	}
	// Started anew, or cleared: either way all that there is, is new. Where there is
	// nothing, 0 is as good a number to go on with.
	*heard = listener{}
	heard.take(all)
	return all, nil
}

func (h *hub) heard(name programs.Name, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[name] = true
	if err == nil {
		delete(h.silent, name)
	} else {
		h.silent[name] = err
	}
}

// down are the programs that did not answer when they were asked last.
func (h *hub) down() []programs.Name {
	h.mu.Lock()
	defer h.mu.Unlock()
	var down []programs.Name
	for _, program := range h.programs {
		if h.silent[program.Name] != nil {
			down = append(down, program.Name)
		}
	}
	return down
}

func (h *hub) add(messages []traffic.Message) {
	if len(messages) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		h.last++
		h.records = append(h.records, record{ID: h.last, Message: m})
		h.bytes += weight(m)
	}
	drop := 0
	for drop < len(h.records) && (len(h.records)-drop > hubMessages || h.bytes > hubBytes) {
		h.bytes -= weight(h.records[drop].Message)
		drop++
	}
	h.records = slices.Delete(h.records, 0, drop)
	h.signal()
}

func weight(m traffic.Message) int { return 256 + len(m.Head) + len(m.Body) + len(m.Summary) }

// signal wakes those who wait; h.mu is held.
func (h *hub) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// since returns the records of a stage (empty: of all) that came after id, in order of
// time, and the ID up to which it looked.
func (h *hub) since(id uint64, stage string) ([]record, uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []record
	for _, r := range h.records {
		if r.ID > id && (stage == "" || r.Stage == stage) {
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
