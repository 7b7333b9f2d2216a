package replay

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors of [Cache.Add] and [Cache.Seen].
var (
	// ErrSeen means that the call was here before.
	ErrSeen = errors.New("the nonce was seen before")
	// ErrOutside means that the call's time is not in the window, or so far back that the
	// cache no longer knows, or never knew, what was seen then.
	ErrOutside = errors.New("the call was signed for a time that is not remembered")
	// ErrFull means that the cache can't remember more. It is not the call's fault:
	// 503, not 401.
	ErrFull = errors.New("the memory of nonces is full")
	// ErrUnmarked means that it can't be written down that calls of that time were served: see
	// [Mark]. It is not the call's fault either.
	ErrUnmarked = errors.New("the mark of the memory can't be written")
)

// Config is what a cache needs to know.
type Config struct {
	// Skew is how far clocks may be apart: half of the time window, in whole seconds.
	// It must be at least that of whoever checks the time.
	Skew time.Duration
	// Limit is how many nonces are remembered at most. See [Limit].
	Limit int
	// Start is when the memory began; calls that were signed before are refused. Zero:
	// there was nothing before.
	Start time.Time
	// Mark is kept ahead of what is added. Nil: no memory will come after this one.
	Mark *Mark
}

// Limit is how many nonces are alive at a rate of calls, if every clock is as wrong as
// may be.
func Limit(callsPerSecond int, skew time.Duration) int {
	return callsPerSecond * (int(2*skew/time.Second) + 1)
}

// Cache remembers nonces. It may be used by several goroutines.
type Cache struct {
	skew  int64 // seconds
	limit int
	mark  *Mark

	mu     sync.Mutex
	groups []map[fingerprint]struct{} // by ts modulo their number
	oldest int64                      // the first second that is still remembered
	live   int                        // nonces in all groups
	latest int64                      // the last second that a call was signed for
}

// fingerprint stands for an ID and a nonce. Groups of it hold no pointers, so that
// they cost the garbage collector nothing.
type fingerprint [16]byte

// New is an empty cache. A config without a Limit makes one that
// is always full.
func New(config Config) *Cache {
	c := &Cache{skew: max(0, int64(config.Skew/time.Second)), limit: config.Limit, mark: config.Mark}
	c.groups = make([]map[fingerprint]struct{}, 2*c.skew+1)
	c.oldest = max(0, config.Start.Unix())
	return c
}

// Seen says what [Cache.Add] would say of a call, and remembers nothing. That it may be
// served is for Add to say: until then another copy of it can come in. Its errors are
// [ErrSeen] and [ErrOutside].
func (c *Cache) Seen(now time.Time, id string, ts int64, nonce string) error {
	print := fingerprintOf(id, nonce)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look(now, ts, print)
}

// Add remembers a nonce, or says why the call that carries it must be refused. ts is the
// time that the call was signed for, in seconds since 1970. It costs the same however
// many nonces there are. Nothing is remembered when it returns an error. Verify the
// call's signature first.
//
//keyladder:code replay-add
func (c *Cache) Add(now time.Time, id string, ts int64, nonce string) error {
	print := fingerprintOf(id, nonce)
	if !c.mark.covers(ts) { // rare: see Mark
		if err := c.Seen(now, id, ts, nonce); err != nil {
			return err
		}
		if err := c.mark.cover(time.Unix(ts, 0)); err != nil {
			return fmt.Errorf("%w: %w", ErrUnmarked, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.look(now, ts, print); err != nil {
		return err
	}
	if c.live >= c.limit {
		return ErrFull
	}
	group := c.group(ts)
	if *group == nil {
		*group = make(map[fingerprint]struct{})
	}
	(*group)[print] = struct{}{}
	c.live++
	c.latest = max(c.latest, ts)
	return nil
}

// look needs mu.
func (c *Cache) look(now time.Time, ts int64, print fingerprint) error {
	c.forget(now)
	if ts < c.oldest || ts > now.Unix()+c.skew {
		return ErrOutside
	}
	if _, seen := (*c.group(ts))[print]; seen {
		return ErrSeen
	}
	return nil
}

// group is where the nonces of a second are.
func (c *Cache) group(second int64) *map[fingerprint]struct{} {
	return &c.groups[second%int64(len(c.groups))]
}

// Latest is the latest time that a call was signed for which was ever added: a memory
// that comes after this one must not begin before it. Zero: there was no call.
func (c *Cache) Latest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest == 0 {
		return time.Time{}
	}
	return time.Unix(c.latest, 0)
}

// Skew is how far clocks may be apart: nonces are remembered for so long after the time that their
// calls were signed for.
func (c *Cache) Skew() time.Duration { return time.Duration(c.skew) * time.Second }

// Len is how many nonces are alive.
func (c *Cache) Len(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	return c.live
}

// forget drops the groups that have left the window: one a second, whoever comes first.
// The maps are not used again: one that was big stays big, and in the end all of them
// would be.
func (c *Cache) forget(now time.Time) {
	oldest := now.Unix() - c.skew
	if now.Nanosecond() > 0 {
		oldest++ // that second is more than skew ago already
	}
	if oldest <= c.oldest {
		return // also when the clock was set back: what is forgotten stays refused
	}
	first := max(c.oldest, oldest-int64(len(c.groups)))
	for second := first; second < oldest; second++ {
		group := c.group(second)
		c.live -= len(*group)
		*group = nil
	}
	c.oldest = oldest
}

// fingerprintOf writes the ID's length in front of it: otherwise "a" with "bc" would look
// like "ab" with "c".
func fingerprintOf(id, nonce string) fingerprint {
	text := make([]byte, 0, 128)
	text = binary.BigEndian.AppendUint64(text, uint64(len(id)))
	text = append(text, id...)
	text = append(text, nonce...)
	sum := sha256.Sum256(text)
	return fingerprint(sum[:16])
}
