package sessions_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/sessions"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/session"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)

func database(t testing.TB, path string) *gorm.DB {
	t.Helper()
	db, err := store.Open(path, sessions.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	return db
}

func open(t testing.TB, db *gorm.DB) *sessions.Store {
	t.Helper()
	s, err := sessions.Open(context.Background(), db, sessions.Default)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fresh(t testing.TB) *sessions.Store {
	t.Helper()
	return open(t, database(t, filepath.Join(t.TempDir(), "sessions.db")))
}

func signIn(t testing.TB, s *sessions.Store, at time.Time, user string) (session.Key, *sessions.Session) {
	t.Helper()
	key, opened, err := s.Begin(context.Background(), at, user, "harbour-mobile", "user-session", "phone")
	if err != nil {
		t.Fatal(err)
	}
	return key, opened
}

// TestLifetimes uses sessions at given times after the sign-in, and expects each use but
// the last to be good.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	idle, absolute := sessions.Default.Idle, sessions.Default.Absolute
	everyTenMinutes := []time.Duration{}
	for at := 10 * time.Minute; at < absolute; at += 10 * time.Minute {
		everyTenMinutes = append(everyTenMinutes, at)
	}
	for name, test := range map[string]struct {
		uses []time.Duration
		end  error
	}{
		"never used":            {[]time.Duration{idle}, session.ErrIdle},
		"just in time":          {[]time.Duration{idle - 1, 2*idle - 2, 3*idle - 2}, session.ErrIdle},
		"busy":                  {append(everyTenMinutes, absolute), session.ErrExpired},
		"clock set back":        {[]time.Duration{time.Minute, -1}, session.ErrExpired},
		"clock set back, later": {[]time.Duration{2 * time.Minute, time.Minute, idle + 2*time.Minute - 1, 3 * idle}, session.ErrIdle},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t)
			key, _ := signIn(t, s, begin, "alice")
			for i, after := range test.uses {
				found, err := s.Find(key, begin.Add(after))
				if last := i == len(test.uses)-1; last {
					if !errors.Is(err, test.end) {
						t.Errorf("after %s: %v, want %v", after, err, test.end)
					}
				} else if err != nil {
					t.Fatalf("after %s: %v", after, err)
				} else {
					found.Touch(begin.Add(after))
				}
			}
		})
	}
}

// TestLookingIsNoUse: whoever shows a key may yet be refused.
func TestLookingIsNoUse(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	key, _ := signIn(t, s, begin, "alice")
	for after := time.Duration(0); after < sessions.Default.Idle; after += time.Minute {
		if _, err := s.Find(key, begin.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Find(key, begin.Add(sessions.Default.Idle)); !errors.Is(err, session.ErrIdle) {
		t.Errorf("after many looks: %v", err)
	}
}

// TestRestart keeps sessions, their last use and their end.
func TestRestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "sessions.db")
	s := open(t, database(t, path))
	kept, opened := signIn(t, s, begin, "alice")
	revoked, gone := signIn(t, s, begin, "alice")
	if kept == revoked || opened.ID == gone.ID {
		t.Error("two sign-ins, one session")
	}
	later := begin.Add(10 * time.Minute)
	opened.Touch(later)
	if err := s.Flush(ctx, later); err != nil {
		t.Fatal(err)
	}
	if err := s.End(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}

	again := open(t, database(t, path))
	if _, err := again.Find(revoked, later); !errors.Is(err, sessions.ErrUnknown) {
		t.Errorf("the revoked session: %v", err)
	}
	found, err := again.Find(kept, later.Add(sessions.Default.Idle-1))
	if err != nil {
		t.Fatalf("the session that was used: %v", err)
	}
	if found.User != "alice" || found.App != "harbour-mobile" || found.Stage != "user-session" || found.Device != "phone" || found.ID != opened.ID {
		t.Errorf("found %+v", found)
	}
	if _, err := again.Find(kept, later.Add(sessions.Default.Idle)); !errors.Is(err, session.ErrIdle) {
		t.Errorf("the session that got idle: %v", err)
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := fresh(t)
	one, first := signIn(t, s, begin, "alice")
	two, _ := signIn(t, s, begin, "alice")
	other, _ := signIn(t, s, begin, "bob")
	state := func(want string) {
		t.Helper()
		got := ""
		for _, key := range []session.Key{one, two, other} {
			if _, err := s.Find(key, begin); err == nil {
				got += "+"
			} else {
				got += "-"
			}
		}
		if got != want || len(s.List(begin)) != strings.Count(want, "+") {
			t.Errorf("%s, want %s; %d are listed", got, want, len(s.List(begin)))
		}
	}
	state("+++")
	if err := s.End(ctx, "nothing"); !errors.Is(err, sessions.ErrNoSession) {
		t.Errorf("the end of nothing: %v", err)
	}
	if err := s.End(ctx, first.ID); err != nil {
		t.Error(err)
	}
	state("-++")
	if err := s.End(ctx, first.ID); !errors.Is(err, sessions.ErrNoSession) {
		t.Errorf("the end once more: %v", err)
	}
	if n, err := s.EndAll(ctx, "alice"); n != 1 || err != nil {
		t.Error(n, err)
	}
	state("--+")
	if err := s.Reset(ctx); err != nil {
		t.Error(err)
	}
	state("---")
}

// TestExpiredAreRemoved from memory and from the database.
func TestExpiredAreRemoved(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := database(t, filepath.Join(t.TempDir(), "sessions.db"))
	s := open(t, db)
	old, _ := signIn(t, s, begin, "alice")
	young, _ := signIn(t, s, begin.Add(10*time.Minute), "alice")
	later := begin.Add(sessions.Default.Idle)
	if err := s.Flush(ctx, later); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(old, begin); !errors.Is(err, sessions.ErrUnknown) { // even if the clock is set back
		t.Errorf("the expired session: %v", err)
	}
	if _, err := s.Find(young, later); err != nil {
		t.Errorf("the other one: %v", err)
	}
	var rows int64
	if err := db.Table("sessions").Count(&rows).Error; err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// TestKeysAreNotStored searches the database's file.
func TestKeysAreNotStored(t *testing.T) {
	t.Parallel()
	db := database(t, filepath.Join(t.TempDir(), "sessions.db"))
	s := open(t, db)
	key, opened := signIn(t, s, begin, "alice")
	var rows []map[string]any
	if err := db.Table("sessions").Find(&rows).Error; err != nil {
		t.Fatal(err)
	}
	digest := key.Digest()
	for _, row := range rows {
		for column, value := range row {
			text, _ := value.(string)
			if data, ok := value.([]byte); ok {
				text = string(data)
			}
			if strings.Contains(text, string(key)) || column != "digest" && strings.Contains(text, string(digest[:])) {
				t.Errorf("%s has the key", column)
			}
		}
	}
	if strings.Contains(string(key), opened.ID) || strings.Contains(digest.String(), strings.ToLower(opened.ID)) {
		t.Error("the ID is made from the key")
	}
}

// TestManySessionsOfOneUser ends the one that was not used for the longest time.
func TestManySessionsOfOneUser(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	others, _ := signIn(t, s, begin, "bob")
	first, opened := signIn(t, s, begin, "alice")
	second, _ := signIn(t, s, begin.Add(1), "alice")
	opened.Touch(begin.Add(time.Minute))
	for i := range sessions.MaxPerUser - 1 {
		signIn(t, s, begin.Add(time.Duration(2+i)), "alice")
	}
	at := begin.Add(time.Minute)
	for name, test := range map[string]struct {
		key  session.Key
		want error
	}{"used": {first, nil}, "not used": {second, sessions.ErrUnknown}, "somebody else's": {others, nil}} {
		if _, err := s.Find(test.key, at); !errors.Is(err, test.want) {
			t.Errorf("the session that was %s: %v", name, err)
		}
	}
	if n := len(s.List(at)); n != sessions.MaxPerUser+1 {
		t.Errorf("%d sessions", n)
	}
}

// TestWithoutDatabase can use sessions and not change them: a sign-out that is not written is
// none.
func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db, err := store.Open(filepath.Join(t.TempDir(), "sessions.db"), sessions.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, db)
	key, opened := signIn(t, s, begin, "alice")
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Begin(ctx, begin, "alice", "a", "b", "c"); err == nil {
		t.Error("a session that is not written was opened")
	}
	if err := s.End(ctx, opened.ID); err == nil {
		t.Error("an end that is not written was acknowledged")
	}
	opened.Touch(begin.Add(time.Minute))
	if err := s.Flush(ctx, begin.Add(time.Minute)); err == nil {
		t.Error("a use that is not written was acknowledged")
	}
	if _, err := s.Find(key, begin.Add(time.Minute)); err != nil {
		t.Errorf("the session: %v", err)
	}
}

// TestAllAtOnce opens, uses, flushes and ends sessions in parallel.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := fresh(t)
	var wait sync.WaitGroup
	for _, user := range []string{"alice", "bob", "mallory", "carol"} {
		wait.Go(func() {
			for i := range 20 {
				at := begin.Add(time.Duration(i) * time.Second)
				key, opened, err := s.Begin(ctx, at, user, "app", "stage", "device")
				if err != nil {
					t.Error(err)
					return
				}
				if found, err := s.Find(key, at); err != nil || found.User != user {
					t.Errorf("%v, %v", found, err)
				}
				opened.Touch(at.Add(time.Second))
				if err := s.Flush(ctx, at); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := s.End(ctx, opened.ID); err != nil {
						t.Error(err)
					}
					if _, err := s.Find(key, at); !errors.Is(err, sessions.ErrUnknown) {
						t.Errorf("after its end: %v", err)
					}
				}
			}
		})
	}
	wait.Wait()
	if n := len(s.List(begin.Add(time.Minute))); n != 40 {
		t.Errorf("%d sessions", n)
	}
}

func TestLifetimesAreNeeded(t *testing.T) {
	t.Parallel()
	db := database(t, filepath.Join(t.TempDir(), "sessions.db"))
	for _, lifetimes := range []session.Lifetimes{{}, {Idle: time.Hour}, {Absolute: time.Hour}, {Idle: -1, Absolute: 1}} {
		if _, err := sessions.Open(context.Background(), db, lifetimes); err == nil {
			t.Errorf("%+v was taken", lifetimes)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	s := fresh(b)
	key, _ := signIn(b, s, begin, "alice")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			found, err := s.Find(key, begin)
			if err != nil {
				b.Fatal(err)
			}
			found.Touch(begin)
		}
	})
}
