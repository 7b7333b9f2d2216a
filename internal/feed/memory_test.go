package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// read is a page of what follows the cursor now.
func read(t *testing.T, r Reader[string], after Cursor) Page[string] {
	t.Helper()
	page, err := r.Read(t.Context(), after, 0)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func (p Page[T]) text() string {
	text := fmt.Sprint(p.Entries)
	if p.Cut > 0 {
		text += fmt.Sprintf(" %d cut", p.Cut)
	}
	if p.StartOver {
		text += " start over"
	}
	if p.More {
		text += " more"
	}
	return text
}

// of is the size of each entry.
func of(size int) func(*string) int { return func(*string) int { return size } }

func TestMemoryTellsWhatWasCut(t *testing.T) {
	t.Parallel()
	m := NewMemory[string](Limits{Entries: 4, Bytes: 100})
	for i := range 10 {
		m.Append(of(1), fmt.Sprint(i+1))
	}
	epoch := m.End().Epoch
	for _, tt := range []struct {
		after Cursor
		want  string
	}{
		{Cursor{}, "[7 8 9 10] 6 cut"},
		{Cursor{epoch, 0}, "[7 8 9 10] 6 cut"},
		{Cursor{epoch, 5}, "[7 8 9 10] 1 cut"},
		{Cursor{epoch, 6}, "[7 8 9 10]"},
		{Cursor{epoch, 8}, "[9 10]"},
		{Cursor{epoch, 10}, "[]"},
		{Cursor{epoch, 11}, "[7 8 9 10] 6 cut start over"}, // it was never told that
		{Cursor{"another", 8}, "[7 8 9 10] 6 cut start over"},
	} {
		page := read(t, m, tt.after)
		if page.text() != tt.want || page.Next != (Cursor{epoch, 10}) {
			t.Errorf("after %v: %s, next %v, want %s", tt.after, page.text(), page.Next, tt.want)
		}
	}
}

func TestMemoryIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	m := NewMemory[string](Limits{Entries: 100, Bytes: 100})
	for i := range 10 {
		m.Append(of(30), fmt.Sprint(i+1))
	}
	if got := read(t, m, Cursor{}).text(); got != "[8 9 10] 7 cut" || m.Bytes() != 90 {
		t.Errorf("%s, %d bytes", got, m.Bytes())
	}
	m.Append(of(90), "large")
	m.Append(of(1000), "larger than all") // it is kept alone: the writer bounds single entries
	if got := read(t, m, Cursor{}).text(); got != "[larger than all] 11 cut" {
		t.Error(got)
	}
	m.Append(of(40), "one", "right after", "the other")
	if got := read(t, m, Cursor{}).text(); got != "[right after the other] 13 cut" || m.Bytes() != 80 {
		t.Errorf("%s, %d bytes", got, m.Bytes())
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"by number": 1, "by bytes": PageBytes / 3} {
		m := NewMemory[string](Limits{Entries: 2000, Bytes: 1 << 40})
		for i := range 1200 {
			m.Append(of(size), fmt.Sprint(i))
		}
		page := read(t, m, Cursor{})
		if n := len(page.Entries); n != PageEntries && n != 3 || !page.More {
			t.Errorf("%s: a page of %d, more: %v", name, n, page.More)
		}
		all, err := All(t.Context(), m, Cursor{})
		if err != nil || len(all.Entries) != 1200 || all.Entries[1199] != "1199" || all.Next != m.End() {
			t.Errorf("%s: all are %d, up to %v, %v", name, len(all.Entries), all.Next, err)
		}
	}
}

func TestClearBeginsAnEpoch(t *testing.T) {
	t.Parallel()
	m := NewMemory[string](Limits{Entries: 4, Bytes: 100})
	for range 7 {
		m.Append(of(1), "old")
	}
	before := m.End()
	m.Clear()
	page := read(t, m, before)
	if page.text() != "[] start over" || m.Bytes() != 0 {
		t.Errorf("%s, %d bytes", page.text(), m.Bytes())
	}
	m.Append(of(1), "new")
	if got := read(t, m, page.Next); got.text() != "[new]" || got.Next.Number != 8 {
		t.Errorf("%s, next %v", got.text(), got.Next)
	}
	if got := read(t, m, Cursor{}).text(); got != "[new]" {
		t.Errorf("a new reader is told %s", got)
	}
}

func TestReadWaits(t *testing.T) {
	t.Parallel()
	m := NewMemory[string](Limits{Entries: 4, Bytes: 100})
	for name, wake := range map[string]func(){
		"[x]":           func() { m.Append(of(1), "x") },
		"[] start over": m.Clear,
	} {
		got := make(chan string)
		after := m.End()
		go func() {
			page, _ := m.Read(context.Background(), after, time.Minute)
			got <- page.text()
		}()
		wake()
		if text := <-got; text != name {
			t.Errorf("got %s, want %s", text, name)
		}
	}
	if page, err := m.Read(t.Context(), m.End(), time.Millisecond); err != nil || page.text() != "[]" || page.Next != m.End() {
		t.Errorf("after the time: %s, %v", page.text(), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Read(ended, m.End(), time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := NewMemory[string](Limits{Entries: 16, Bytes: 1 << 20})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var heard uint64
			var at Cursor
			for heard < 800 {
				page, err := m.Read(context.Background(), at, time.Second)
				if err != nil {
					t.Error(err)
				}
				heard, at = heard+page.Cut+uint64(len(page.Entries)), page.Next
			}
			if heard != 800 {
				t.Errorf("heard of %d entries", heard)
			}
		})
		wg.Go(func() {
			for range 200 {
				m.Append(of(1), "x")
			}
		})
	}
	wg.Wait()
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "abc.12", "a.b.3", ".1", "abc", "abc.-1", "abc.18446744073709551615"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c Cursor
		if err := c.UnmarshalText([]byte(text)); err != nil {
			if !errors.Is(err, ErrCursor) {
				t.Error(err)
			}
			return
		}
		var again Cursor
		if err := again.UnmarshalText([]byte(c.String())); err != nil || again != c {
			t.Errorf("%q is %+v, and that is %+v, %v", text, c, again, err)
		}
	})
}
