package feed

import (
	"context"
	"sync"
	"time"
)

// Follower keeps something in step with a feed.
type Follower[T any] struct {
	Feed Reader[T]
	Wait time.Duration // of a long poll

	// Apply takes what a page tells. Pages come one at a time and in order; one that can't be
	// applied comes again.
	Apply func(context.Context, Page[T]) error

	// Load loads the whole state and returns the cursor up to which it holds. It is asked when
	// there is no cursor, and after a gap, whose page is not applied. Nil: the feed tells
	// events, and Apply hears of gaps.
	Load func(ctx context.Context) (Cursor, error)

	at     Cursor
	mu     sync.Mutex
	health Health
}

// Health tells whether a follower is in step.
type Health struct {
	Heard time.Time // when the feed was read last; zero: not yet
	Err   error     // why it could not be read since
}

// From says up to where what the follower keeps holds already. It is for the time before Run.
func (f *Follower[T]) From(at Cursor) { f.at = at }

// patience is how much longer than the long poll an answer may take.
const patience = 10 * time.Second

// Pauses after the feed could not be read.
const (
	firstPause = 200 * time.Millisecond
	longPause  = 3 * time.Second
)

// Run follows the feed until ctx ends. Where it can't be read it tries again.
func (f *Follower[T]) Run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		if f.Next(ctx) == nil {
			pause = firstPause
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, longPause)
	}
}

// Next reads one page and applies it.
func (f *Follower[T]) Next(ctx context.Context) error {
	err := f.next(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // that says nothing about the feed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.health.Err = err
	if err == nil {
		f.health.Heard = time.Now()
	}
	return err
}

func (f *Follower[T]) next(ctx context.Context) error {
	wait := f.Wait
	if health := f.Health(); health.Heard.IsZero() || health.Err != nil {
		wait = 0 // to know soon that it can be read
	}
	ctx, cancel := context.WithTimeout(ctx, wait+patience)
	defer cancel()
	if f.Load != nil && f.at == (Cursor{}) {
		at, err := f.Load(ctx)
		if err != nil {
			return err
		}
		f.at = at
	}
	page, err := f.Feed.Read(ctx, f.at, wait)
	if err != nil {
		return err
	}
	if f.Load != nil && (page.StartOver || page.Cut > 0) {
		at, err := f.Load(ctx)
		if err == nil {
			f.at = at
		}
		return err
	}
	if err := f.Apply(ctx, page); err != nil {
		return err
	}
	f.at = page.Next
	return nil
}

// Health is for others than the one that follows.
func (f *Follower[T]) Health() Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.health
}
