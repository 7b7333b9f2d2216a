package tokens_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"keyladder/backend/tokens"
	"keyladder/stages/mechanism/token"
)

// noted is a token that a journal hears of.
func noted(jti string, expires time.Time) *tokens.Token {
	return &tokens.Token{Claims: token.Claims{ID: jti, Expires: expires}}
}

// TestJournal lists what was done with one token, the latest first. Many calls that change
// nothing push out others like them, and none that moved money.
func TestJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	j := tokens.NewJournal(w.db, w.Now)
	one, other := noted("one", w.now.Add(time.Minute)), noted("other", w.now.Add(time.Minute))
	begin := w.now
	pay := tokens.Call{At: begin, Route: "POST /v1/transfers", Status: 201, Address: netip.MustParseAddr("192.0.2.7"), Did: "paid EUR 1.00 from A to B"}
	j.Note(one, pay)
	for i := range 250 {
		j.Note(one, tokens.Call{At: begin.Add(time.Duration(i+1) * time.Millisecond), Route: "GET /v1/accounts", Status: 200})
		if i == 120 {
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.Note(other, tokens.Call{At: begin, Route: "GET /v1/accounts", Status: 404})
	calls, err := j.Calls(t.Context(), "one")
	if err != nil || len(calls) != 101 {
		t.Fatalf("%d calls are listed, %v", len(calls), err)
	}
	if first, last := calls[0], calls[100]; !first.At.Equal(begin.Add(250*time.Millisecond)) || last.Did != pay.Did || last.Status != 201 || last.Address != "192.0.2.7" || !last.At.Equal(begin) {
		t.Errorf("first %+v, last %+v", first, last)
	}
	if !calls[99].At.Equal(begin.Add(151 * time.Millisecond)) {
		t.Errorf("the oldest of the others is %+v", calls[99])
	}
	if calls, err := j.Calls(t.Context(), "other"); err != nil || len(calls) != 1 || calls[0].Status != 404 {
		t.Errorf("of the other: %+v, %v", calls, err)
	}
	w.now = w.now.Add(time.Hour + 2*time.Minute) // both have expired an hour ago
	if calls, err := j.Calls(t.Context(), "one"); err != nil || len(calls) != 0 {
		t.Errorf("%d are kept for ever, %v", len(calls), err)
	}
}

// TestJournalIsBounded: what many tokens do between two flushes is noted up to a limit.
func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	j := tokens.NewJournal(w.db, w.Now)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 6000 {
				j.Note(noted(fmt.Sprint(worker, i), w.now.Add(time.Hour)), tokens.Call{At: w.now, Route: "GET /v1/accounts", Status: 200})
			}
		})
	}
	group.Wait()
	begin := time.Now()
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("written in %v", time.Since(begin))
	var rows int64
	if err := w.db.Table("access_token_calls").Count(&rows).Error; err != nil || rows != 20_000 {
		t.Errorf("%d were written, %v", rows, err)
	}
	if err := j.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.db.Table("access_token_calls").Count(&rows).Error; err != nil || rows != 0 {
		t.Errorf("%d are left after a reset, %v", rows, err)
	}
}

func BenchmarkNote(b *testing.B) {
	w := newWorld(b)
	j := tokens.NewJournal(w.db, w.Now)
	one := noted("one", w.now.Add(time.Hour))
	call := tokens.Call{At: w.now, Route: "GET /v1/accounts", Status: 200, Address: netip.MustParseAddr("192.0.2.7")}
	b.ReportAllocs()
	for b.Loop() {
		j.Note(one, call)
	}
}
