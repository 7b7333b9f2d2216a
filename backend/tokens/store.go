package tokens

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/token"
)

// Errors of the store.
var (
	ErrNoIssuer = errors.New("that stage issues no access tokens")
	ErrNoKey    = errors.New("there is no such signing key")
	ErrNewest   = errors.New("that key signs now: make another one first")
	ErrNoToken  = errors.New("there is no such access token")
)

// Issuer is who issues the tokens of a stage, and for whom.
type Issuer struct {
	Stage    string
	URL      string        // iss
	Audience string        // aud: the API that the tokens are for
	Lifetime time.Duration // of a token
	// Opaque says that tokens are random text, and what they stand for is in the database alone.
	Opaque bool
}

// Config is what a store needs.
type Config struct {
	Issuers []Issuer
	Leeway  time.Duration    // how far another clock may be ahead of ours: see [token.Verifier]
	Overlap time.Duration    // for how long a key that was replaced is good
	Now     func() time.Time // nil: the clock
	// Remembered is how many verified tokens are remembered at most. 0: [DefaultRemembered].
	Remembered int
}

// DefaultRemembered is enough for the tokens of as many users who call within one lifetime. It
// takes some 50 MB.
const DefaultRemembered = 100_000

// Store is the tokens of one server. It is safe for concurrent use.
type Store struct {
	*Book
	db       *gorm.DB
	writers  *store.Group // who issue tokens
	changes  *durable.Feed[change]
	follower feed.Follower[change]
	writing  sync.Mutex // one change at a time; held while the database is written, and memory after it
}

// change is what the feed tells. The database says what a key is now.
type change struct {
	Key     string `json:"key,omitempty"`   // it is another one now, or new
	Token   string `json:"token,omitempty"` // it was revoked
	Expires int64  `json:"expires,omitempty"`
}

// changesKept is how many changes another process can miss before it has to read everything.
var changesKept = feed.Limits{Entries: 10_000, Bytes: 1 << 20}

// Open reads keys and revocations from a database that has the tables of [Models] and of
// [durable.Models], and makes a key for each issuer that has none.
func Open(ctx context.Context, db *gorm.DB, config Config) (*Store, error) {
	book, err := newBook(config)
	if err != nil {
		return nil, err
	}
	s := &Store{Book: book, db: db, writers: store.NewGroup(db)}
	if s.changes, err = durable.Open[change](ctx, db, "tokens", changesKept); err != nil {
		return nil, err
	}
	s.follower = feed.Follower[change]{Feed: s.changes, Wait: 20 * time.Second, Apply: s.apply, Load: s.load}
	if err := db.WithContext(ctx).Transaction(s.firstKeys); err != nil {
		return nil, fmt.Errorf("open the access tokens: %w", err)
	}
	at, err := s.load(ctx)
	s.follower.From(at)
	return s, err
}

// firstKeys makes a key for each issuer that has none.
func (s *Store) firstKeys(tx *gorm.DB) error {
	for stage, issuer := range s.issuers {
		if issuer.Opaque { // nothing is signed
			continue
		}
		var keys int64
		if err := tx.Model(&keyRow{}).Where("stage = ?", stage).Count(&keys).Error; err != nil {
			return err
		}
		if keys > 0 {
			continue
		}
		if _, err := s.makeKey(tx, stage); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) makeKey(tx *gorm.DB, stage string) (keyRow, error) {
	made := token.NewKey()
	row := keyRow{ID: made.ID, Stage: stage, Secret: made.Secret, CreatedAt: s.config.Now().UTC()}
	if err := tx.Create(&row).Error; err != nil {
		return keyRow{}, err
	}
	_, err := s.changes.Append(tx, change{Key: row.ID})
	return row, err
}

// Follow keeps keys and revocations in step with what other processes change in the database,
// until ctx ends.
func (s *Store) Follow(ctx context.Context) { s.follower.Run(ctx) }

// Health tells whether they are.
func (s *Store) Health() feed.Health { return s.follower.Health() }

// load reads everything.
func (s *Store) load(ctx context.Context) (feed.Cursor, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	state, err := s.read(ctx)
	if err != nil {
		return feed.Cursor{}, err
	}
	s.publish(state.Keys)
	s.revokeOnly(state.Revoked)
	return state.At, nil
}

// read reads all keys, and the revocations of tokens that have not expired.
func (s *Store) read(ctx context.Context) (state snapshot, err error) {
	var tokens []tokenRow
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if state.At, err = s.changes.End(tx); err != nil {
			return err
		}
		if err := tx.Find(&state.Keys).Error; err != nil {
			return err
		}
		return tx.Select("id", "expires_at").Where("revoked_at IS NOT NULL AND expires_at > ?", s.config.Now().UTC()).Find(&tokens).Error
	})
	if err != nil {
		return snapshot{}, fmt.Errorf("read the access tokens: %w", err)
	}
	state.Revoked = make([]revocation, len(tokens))
	for i, row := range tokens {
		state.Revoked[i] = revocation{row.ID, row.ExpiresAt.Unix()}
	}
	return state, nil
}

// apply takes what a page of the feed tells.
func (s *Store) apply(ctx context.Context, page feed.Page[change]) error {
	if len(page.Entries) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.take(ctx, page.Entries)
}

// take puts changes in force that are in the database. s.writing is held.
func (s *Store) take(ctx context.Context, changes []change) error {
	for _, c := range changes {
		if c.Key == "" {
			continue
		}
		var keys []keyRow
		if err := s.db.WithContext(ctx).Find(&keys).Error; err != nil {
			return fmt.Errorf("read the signing keys: %w", err)
		}
		s.publish(keys)
		break // they are few: one look reads them all
	}
	s.revoke(changes)
	return nil
}

// bulk is how many changes are told one by one. Of more, readers of the feed read all that
// there is.
const bulk = 1000

// change makes a change in the database, tells the feed in the same transaction, and puts it in
// force here. s.writing is not held.
func (s *Store) change(ctx context.Context, what string, write func(tx *gorm.DB) ([]change, error)) error {
	// A caller that goes away must not leave us guessing whether it was written.
	ctx = context.WithoutCancel(ctx)
	s.writing.Lock()
	defer s.writing.Unlock()
	var changes []change
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		if changes, err = write(tx); err != nil {
			return err
		}
		if len(changes) > bulk {
			return s.changes.Clear(tx)
		}
		for _, c := range changes {
			if _, err := s.changes.Append(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return s.take(ctx, changes)
}
