package durable_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
	"keyladder/internal/store"
)

// opened opens the database as a process of its own does.
func opened(t *testing.T, path string) (*gorm.DB, *durable.Feed[string]) {
	t.Helper()
	db, err := store.Open(path, durable.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	f, err := durable.Open[string](t.Context(), db, "names", feed.Limits{Entries: 4, Bytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return db, f
}

// tell appends entries, each in a transaction of its own.
func tell(t *testing.T, db *gorm.DB, f *durable.Feed[string], values ...string) {
	t.Helper()
	for _, value := range values {
		if err := db.Transaction(func(tx *gorm.DB) error { _, err := f.Append(tx, value); return err }); err != nil {
			t.Fatal(err)
		}
	}
}

func text(page feed.Page[string]) string {
	text := fmt.Sprint(page.Entries)
	if page.Cut > 0 {
		text += fmt.Sprintf(" %d cut", page.Cut)
	}
	if page.StartOver {
		text += " start over"
	}
	return text
}

func TestDurable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, f := opened(t, path)
	_, other := opened(t, path)
	expect := func(after feed.Cursor, want string) feed.Cursor {
		t.Helper()
		var next feed.Cursor
		for _, reader := range []*durable.Feed[string]{f, other} { // both processes see the same
			page, err := reader.Read(t.Context(), after, 0)
			if err != nil {
				t.Fatal(err)
			}
			if text(page) != want {
				t.Errorf("after %v: %s, want %s", after, text(page), want)
			}
			next = page.Next
		}
		return next
	}
	begin := expect(feed.Cursor{}, "[]")
	tell(t, db, f, "a", "b")
	two := expect(begin, "[a b]")
	tell(t, db, other, "c", "d")
	expect(two, "[c d]")
	failed := errors.New("no")
	err := db.Transaction(func(tx *gorm.DB) error {
		if _, err := f.Append(tx, "never"); err != nil {
			t.Error(err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	tell(t, db, f, "e", "f", "g")
	expect(two, "[d e f g] 1 cut")
	seven := expect(feed.Cursor{}, "[d e f g] 3 cut")
	if seven.Number != 7 { // what was rolled back has no number
		t.Errorf("the last number is %d", seven.Number)
	}
	expect(feed.Cursor{Epoch: seven.Epoch, Number: 8}, "[d e f g] 3 cut start over")
	expect(feed.Cursor{Epoch: "another", Number: 7}, "[d e f g] 3 cut start over")
	tell(t, db, f, strings.Repeat("x", 600), strings.Repeat("y", 600))
	if page, _ := f.Read(t.Context(), seven, 0); page.Cut != 1 || len(page.Entries) != 1 || page.Entries[0][0] != 'y' {
		t.Errorf("two entries of 600 bytes where 1000 are kept: %s", text(page))
	}
	if err := db.Transaction(f.Clear); err != nil {
		t.Fatal(err)
	}
	nine := expect(seven, "[] start over")
	tell(t, db, f, "h")
	expect(nine, "[h]")
}

func TestDurableOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, f := opened(t, path)
	tell(t, db, f, "a")
	at, err := f.End(db)
	if err != nil {
		t.Fatal(err)
	}
	store.Close(db)
	db, f = opened(t, path)
	tell(t, db, f, "b")
	if page, err := f.Read(t.Context(), at, 0); err != nil || text(page) != "[b]" {
		t.Errorf("%s, %v", text(page), err)
	}
}

func TestDurablePages(t *testing.T) {
	t.Parallel()
	db, err := store.Open(filepath.Join(t.TempDir(), "x.db"), durable.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(db)
	f, err := durable.Open[string](t.Context(), db, "names", feed.Limits{Entries: 2000, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	err = db.Transaction(func(tx *gorm.DB) error {
		for i := range 1100 {
			want = append(want, fmt.Sprint(i))
			if _, err := f.Append(tx, want[i]); err != nil {
				return err
			}
		}
		large := strings.Repeat("x", feed.PageBytes*2/3)
		want = append(want, large, large)
		_, first := f.Append(tx, large)
		_, second := f.Append(tx, large)
		return errors.Join(first, second)
	})
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{}
	for at, more := (feed.Cursor{}), true; more; {
		page, err := f.Read(t.Context(), at, 0)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page.Entries))
		at, more = page.Next, page.More
	}
	if !slices.Equal(sizes, []int{500, 500, 101, 1}) {
		t.Errorf("pages of %v", sizes)
	}
	if all, err := feed.All(t.Context(), f, feed.Cursor{}); err != nil || !slices.Equal(all.Entries, want) {
		t.Errorf("%d entries, %v", len(all.Entries), err)
	}
}

// A reader in another process hears of an entry as soon as it is committed.
func TestDurableReadWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, f := opened(t, path)
	_, other := opened(t, path)
	at, err := f.End(db)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan time.Time)
	go func() {
		page, err := other.Read(t.Context(), at, time.Minute)
		if err != nil || text(page) != "[a]" {
			t.Errorf("%s, %v", text(page), err)
		}
		heard <- time.Now()
	}()
	tell(t, db, f, "a")
	committed := time.Now()
	if late := (<-heard).Sub(committed); late > time.Second {
		t.Errorf("it was heard %v later", late)
	}
	if page, err := f.Read(t.Context(), at, 0); err != nil || text(page) != "[a]" {
		t.Errorf("%s, %v", text(page), err)
	}
}
