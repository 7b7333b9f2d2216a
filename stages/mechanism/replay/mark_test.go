package replay_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"keyladder/stages/mechanism/replay"
)

// disk keeps what a mark writes.
type disk struct {
	until  time.Time
	writes int
	broken bool
}

func (d *disk) write(until time.Time) error {
	if d.broken {
		return errors.New("the disk is broken")
	}
	d.until, d.writes = until, d.writes+1
	return nil
}

// TestMarkIsAhead of all that is added, at every moment: the server can be killed at any.
func TestMarkIsAhead(t *testing.T) {
	t.Parallel()
	d := &disk{}
	mark := replay.NewMark(replay.MarkConfig{Skew: skew, Write: d.write})
	c := replay.New(replay.Config{Skew: skew, Limit: 10_000, Mark: mark})
	for i := range 600 {
		now := noon.Add(time.Duration(i) * 100 * time.Millisecond)
		if i%10 == 0 {
			if err := mark.Advance(now); err != nil {
				t.Fatal(err)
			}
		}
		for _, off := range []int64{-60, 0, 1, 3} {
			before := d.writes
			ts := now.Unix() + off
			if off == -60 {
				ts++ // whatever the fraction of the second
			}
			if err := c.Add(now, "a", ts, strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
			if d.writes != before {
				t.Errorf("a call with a clock that is right within seconds (%d) had to wait", off)
			}
			if d.until.Unix() < ts {
				t.Fatalf("%d was added, and the mark is %d", ts, d.until.Unix())
			}
		}
	}
	if d.writes > 20 {
		t.Errorf("%d writes in a minute", d.writes)
	}
	if err := c.Add(noon.Add(time.Minute), "a", noon.Unix()+115, "fast"); err != nil || d.until.Unix() < noon.Unix()+115 {
		t.Errorf("a fast clock's: %v, the mark is %v", err, d.until)
	}
	if err := mark.Close(c.Latest()); err != nil || d.until.Unix() != noon.Unix()+115 {
		t.Errorf("at the end: %v, %v", err, d.until)
	}
}

// TestMarkThatCantBeWritten refuses what it does not cover, and remembers nothing of it.
func TestMarkThatCantBeWritten(t *testing.T) {
	t.Parallel()
	d := &disk{broken: true}
	mark := replay.NewMark(replay.MarkConfig{Skew: skew, Write: d.write})
	c := replay.New(replay.Config{Skew: skew, Limit: 10, Mark: mark})
	if err := c.Add(noon, "a", noon.Unix(), "n"); !errors.Is(err, replay.ErrUnmarked) {
		t.Errorf("got %v, want %v", err, replay.ErrUnmarked)
	}
	if err := c.Add(noon, "a", noon.Unix()+3600, "n"); !errors.Is(err, replay.ErrOutside) {
		t.Errorf("got %v, want %v: nobody may push the mark ahead", err, replay.ErrOutside)
	}
	if mark.Advance(noon) == nil {
		t.Error("the fault was kept quiet")
	}
	d.broken = false
	if err := c.Add(noon, "a", noon.Unix(), "n"); err != nil {
		t.Error(err)
	}
}

func TestMarkBegins(t *testing.T) {
	t.Parallel()
	next := noon.Add(time.Second)
	for name, test := range map[string]struct {
		config replay.MarkConfig
		want   time.Time
	}{
		"the first server":      {replay.MarkConfig{}, time.Time{}},
		"nothing was written":   {replay.MarkConfig{Resumed: true}, next},
		"long ago":              {replay.MarkConfig{Resumed: true, Before: noon.Add(-time.Hour)}, next},
		"a clock that was fast": {replay.MarkConfig{Resumed: true, Before: noon.Add(50 * time.Second)}, noon.Add(51 * time.Second)},
		"a clock that set back": {replay.MarkConfig{Resumed: true, Before: noon.AddDate(1, 0, 0)}, noon.Add(61 * time.Second)},
	} {
		test.config.Skew = skew
		if got := replay.NewMark(test.config).Begins(noon.Add(100 * time.Millisecond)); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	// A server that served nothing does not take back what the one before it has written.
	d := &disk{}
	idle := replay.NewMark(replay.MarkConfig{Resumed: true, Before: noon.Add(30 * time.Second), Skew: skew, Write: d.write})
	if err := errors.Join(idle.Advance(noon), idle.Close(time.Time{})); err != nil || !d.until.Equal(noon.Add(30*time.Second)) {
		t.Errorf("%v, %v", err, d.until)
	}
}
