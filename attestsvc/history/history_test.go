package history_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

func open(t *testing.T, path string) *gorm.DB {
	t.Helper()
	db, err := store.Open(path, history.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	return db
}

func add(t *testing.T, db *gorm.DB, kind history.Kind, subject, what string) {
	t.Helper()
	if err := history.Add(db, kind, subject, time.Now(), what); err != nil {
		t.Fatal(err)
	}
}

// of are the events of a subject, in words.
func of(t *testing.T, db *gorm.DB, kind history.Kind, subject string) (whats []string) {
	t.Helper()
	events, err := history.Of(db, kind, subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events[subject] {
		whats = append(whats, event.What)
	}
	return whats
}

// Events are those of their kind and subject, in the order in which they came, also where two came at
// the same time; and they are there when the database is opened again.
func TestEvents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.db")
	db := open(t, path)
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, e := range []struct {
		kind          history.Kind
		subject, what string
	}{
		{history.Device, "a", "banned"},
		{history.Reference, "a", "registered"},
		{history.Device, "b", "banned"},
		{history.Device, "a", "ban lifted"},
	} {
		if err := history.Add(db, e.kind, e.subject, at, e.what); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	events, err := history.Of(db, history.Device, "a", "nobody")
	if err != nil || len(events) != 2 || events["nobody"] == nil || len(events["nobody"]) != 0 {
		t.Fatalf("%+v, %v", events, err)
	}
	want := []manage.Event{{At: at, What: "banned"}, {At: at, What: "ban lifted"}}
	if !slices.EqualFunc(events["a"], want, func(a, b manage.Event) bool { return a.What == b.What && a.At.Equal(b.At) }) {
		t.Errorf("%+v, want %+v", events["a"], want)
	}
}

// What a change does is not on record when the change is not.
func TestEventsGoWithTheirChange(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "history.db"))
	failure := errors.New("the change is not possible")
	err := db.Transaction(func(tx *gorm.DB) error {
		return errors.Join(history.Add(tx, history.Device, "a", time.Now(), "banned"), failure)
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if got := of(t, db, history.Device, "a"); len(got) > 0 {
		t.Errorf("on record is %q", got)
	}
}

// What is forgotten is that of the subjects and of the kinds that were named, and nothing else.
func TestEventsAreForgotten(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "history.db"))
	for _, kind := range []history.Kind{history.Device, history.Signer, history.Reference} {
		add(t, db, kind, "a", "one")
		add(t, db, kind, "b", "two")
	}
	if err := history.Forget(db, history.Device, []string{"a", "nobody"}); err != nil {
		t.Fatal(err)
	}
	if a, b, signer := of(t, db, history.Device, "a"), of(t, db, history.Device, "b"), of(t, db, history.Signer, "a"); len(a) != 0 || len(b) != 1 || len(signer) != 1 {
		t.Errorf("left are %q, %q and %q", a, b, signer)
	}
	if err := history.Reset(db, history.Signer, history.Reference); err != nil {
		t.Fatal(err)
	}
	if signer, reference, device := of(t, db, history.Signer, "a"), of(t, db, history.Reference, "b"), of(t, db, history.Device, "b"); len(signer)+len(reference) != 0 || len(device) != 1 {
		t.Errorf("left are %q, %q and %q", signer, reference, device)
	}
}

// Events that come at the same time are all on record, each subject's in its order.
func TestEventsAtTheSameTime(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "history.db"))
	var all sync.WaitGroup
	for subject := range 4 {
		all.Go(func() {
			for i := range 20 {
				if err := history.Add(db, history.Device, fmt.Sprint(subject), time.Now(), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for subject := range 4 {
		got := of(t, db, history.Device, fmt.Sprint(subject))
		if len(got) != 20 || got[0] != "0" || got[19] != "19" {
			t.Errorf("of %d on record are %q", subject, got)
		}
	}
}
