package sessions

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"keyladder/stages/mechanism/session"
)

// Default is how long sessions last where nothing else is said.
var Default = session.Lifetimes{Idle: 15 * time.Minute, Absolute: 12 * time.Hour}

// MaxPerUser is how many sessions a user can have. A further one ends the one that was
// not used for the longest time: memory is bounded, and nobody is kept from signing in.
const MaxPerUser = 100

// Errors of [Store.Find] and [Store.End]. Find returns those of [session.Lifetimes], too.
var (
	// ErrUnknown means that there is no session with that key: there never was, it was
	// signed out or revoked, or it ended and was removed.
	ErrUnknown   = errors.New("no session has that key, or no longer")
	ErrNoSession = errors.New("there is no such session")
)

// Session is a user's session. It is never changed, but for the time of its last use.
type Session struct {
	ID                       string // not the key, nor made from it
	User, App, Stage, Device string
	CreatedAt                time.Time

	digest  session.Digest
	used    *atomic.Int64 // nanoseconds since 1970
	flushed int64         // what the database knows of it; guarded by Store.writing
}

// Touch notes that the session was used.
func (s *Session) Touch(at time.Time) {
	now := at.UnixNano()
	for {
		last := s.used.Load()
		if now <= last || s.used.CompareAndSwap(last, now) {
			return
		}
	}
}

// LastUsed is when the session was used last, or opened.
func (s *Session) LastUsed() time.Time { return time.Unix(0, s.used.Load()) }

// row is a session in the database.
type row struct {
	ID         string    `gorm:"primaryKey"`
	Digest     []byte    `gorm:"not null;uniqueIndex"` // SHA-256 of the key
	User       string    `gorm:"not null;index"`
	App        string    `gorm:"not null"`
	Stage      string    `gorm:"not null;index:on_device"`
	Device     string    `gorm:"not null;index:on_device"`
	CreatedAt  time.Time `gorm:"not null;index"`
	LastUsedAt time.Time `gorm:"not null;index"`
	Workshop   bool      `gorm:"not null;default:false"` // see Store.MarkWorkshop
}

func (row) TableName() string { return "sessions" }

// Models are the table of sessions.
func Models() []any { return []any{&row{}} }

// Store is the sessions of one server. It is safe for concurrent use.
type Store struct {
	db        *gorm.DB
	lifetimes session.Lifetimes

	writing sync.Mutex // one change at a time; held while the database is written
	mu      sync.RWMutex
	byKey   map[session.Digest]*Session
	byID    map[string]*Session
}

// Open reads the sessions from a database that has [Models]' tables. Those that have
// expired by now are removed with the first [Store.Flush].
func Open(ctx context.Context, db *gorm.DB, lifetimes session.Lifetimes) (*Store, error) {
	if lifetimes.Idle <= 0 || lifetimes.Absolute <= 0 {
		return nil, errors.New("sessions need a time after which they end")
	}
	s := &Store{db: db, lifetimes: lifetimes, byKey: map[session.Digest]*Session{}, byID: map[string]*Session{}}
	var rows []row
	if err := db.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the sessions: %w", err)
	}
	for _, r := range rows {
		if len(r.Digest) != len(session.Digest{}) {
			return nil, fmt.Errorf("read the sessions: the digest of %s has %d bytes", r.ID, len(r.Digest))
		}
		s.add(r.session())
	}
	return s, nil
}

func (r row) session() *Session {
	found := &Session{
		ID: r.ID, User: r.User, App: r.App, Stage: r.Stage, Device: r.Device, CreatedAt: r.CreatedAt,
		digest: session.Digest(r.Digest), used: &atomic.Int64{}, flushed: r.LastUsedAt.UnixNano(),
	}
	found.used.Store(found.flushed)
	return found
}

// add and drop need mu, where others know the store already.
func (s *Store) add(one *Session) {
	s.byKey[one.digest] = one
	s.byID[one.ID] = one
}

func (s *Store) drop(ended []*Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range ended {
		delete(s.byKey, one.digest)
		delete(s.byID, one.ID)
	}
}

// Lifetimes are how long sessions last.
func (s *Store) Lifetimes() session.Lifetimes { return s.lifetimes }

// Begin opens a session for a user who has just been proven. The key is new each time,
// and is not kept here: whoever gets it is the only one who has it.
//
//keyladder:code session-store
func (s *Store) Begin(ctx context.Context, at time.Time, user, app, stage, device string) (session.Key, *Session, error) {
	key := session.NewKey()
	digest := key.Digest()
	at = at.UTC()
	r := row{
		ID: rand.Text(), Digest: digest[:], User: user, App: app, Stage: stage, Device: device,
		CreatedAt: at, LastUsedAt: at,
	}
	opened := r.session()
	s.writing.Lock()
	defer s.writing.Unlock()
	excess := s.beyond(user, MaxPerUser-1)
	// A caller that goes away must not leave us guessing whether it was written.
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		if err := deleteRows(tx, excess); err != nil {
			return err
		}
		return tx.Create(&r).Error
	})
	if err != nil {
		return "", nil, fmt.Errorf("open a session: %w", err)
	}
	s.drop(excess)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(opened)
	return key, opened, nil
}

// beyond are a user's sessions past the given number, the most recently used left out.
func (s *Store) beyond(user string, number int) []*Session {
	found := s.where(func(one *Session) bool { return one.User == user })
	if len(found) <= number {
		return nil
	}
	slices.SortFunc(found, func(a, b *Session) int { return cmp.Compare(b.used.Load(), a.used.Load()) })
	return found[number:]
}

func (s *Store) where(is func(*Session) bool) []*Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*Session
	for _, one := range s.byID {
		if is(one) {
			found = append(found, one)
		}
	}
	return found
}

func deleteRows(tx *gorm.DB, ended []*Session) error {
	for batch := range slices.Chunk(ended, 500) {
		ids := make([]string, len(batch))
		for i, one := range batch {
			ids[i] = one.ID
		}
		if err := tx.Where("id IN ?", ids).Delete(&row{}).Error; err != nil {
			return err
		}
	}
	return nil
}

// Find returns the session that a key stands for, if it is good at that time. It does not
// count as a use: who shows a key may turn out not to be allowed to use it. See
// [Session.Touch].
func (s *Store) Find(key session.Key, at time.Time) (*Session, error) {
	s.mu.RLock()
	found := s.byKey[key.Digest()]
	s.mu.RUnlock()
	if found == nil {
		return nil, ErrUnknown
	}
	if err := s.check(found, at); err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Store) check(one *Session, at time.Time) error {
	return s.lifetimes.Check(at, one.CreatedAt, one.LastUsed())
}

// End ends a session: it is deleted from the database first, and from then on its key
// is as good as an invented one.
func (s *Store) End(ctx context.Context, id string) error {
	ended, err := s.end(ctx, func(one *Session) bool { return one.ID == id })
	if err == nil && ended == 0 {
		return ErrNoSession
	}
	return err
}

// EndAll ends all sessions of a user and says how many there were.
func (s *Store) EndAll(ctx context.Context, user string) (int, error) {
	return s.end(ctx, func(one *Session) bool { return one.User == user })
}

// Reset ends all sessions.
func (s *Store) Reset(ctx context.Context) error {
	_, err := s.end(ctx, func(*Session) bool { return true })
	return err
}

func (s *Store) end(ctx context.Context, which func(*Session) bool) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	ended := s.where(which)
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		return deleteRows(tx, ended)
	})
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	s.drop(ended)
	return len(ended), nil
}

// Flush writes when sessions were last used, and removes those that have expired. What
// can't be written stays for the next time.
func (s *Store) Flush(ctx context.Context, at time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	expired := s.where(func(one *Session) bool {
		// One that was opened since we were asked is not old, but young.
		return s.check(one, at) != nil && !one.CreatedAt.After(at)
	})
	used := s.where(func(one *Session) bool { return one.used.Load() != one.flushed && s.check(one, at) == nil })
	if len(expired) == 0 && len(used) == 0 {
		return nil
	}
	times := make([]int64, len(used))
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for i, one := range used {
			times[i] = one.used.Load()
			err := tx.Model(&row{}).Where("id = ?", one.ID).Update("last_used_at", time.Unix(0, times[i]).UTC()).Error
			if err != nil {
				return err
			}
		}
		return deleteRows(tx, expired)
	})
	if err != nil {
		return fmt.Errorf("write the use of sessions: %w", err)
	}
	for i, one := range used {
		one.flushed = times[i]
	}
	s.drop(expired)
	return nil
}
