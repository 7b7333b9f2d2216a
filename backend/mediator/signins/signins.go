// Package signins keeps pushed authorization requests (RFC 9126) and the sign-ins that come of them,
// until a provider has answered.
//
// Each step is one statement that looks and marks at once: a request_uri begins one sign-in, and one
// answer ends it, however many come. A hash alone is kept of request_uri, of state and of the
// user agent's cookie. All is in the database, so a mediator that is killed between two steps goes on where it
// was, and several can share the work.
package signins

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/mediator/secrets"
	"keyladder/internal/store"
)

// Errors of the store.
var (
	ErrRequest = errors.New("there is no such pushed request, or not any more")
	ErrClient  = errors.New("the request was pushed by another client")
	ErrUnknown = errors.New("there is no such sign-in, or not any more")
	ErrAgent   = errors.New("the sign-in was begun in another user agent")
)

// URN is what each request_uri begins with (RFC 9126, section 2.2).
const URN = "urn:ietf:params:oauth:request_uri:"

// Request is an authorization request that was pushed, with parameters that were checked.
type Request struct {
	Stage       string `json:"stage"`
	Client      string `json:"client"`
	Device      string `json:"device"`               // the installation that pushed it
	Thumbprint  string `json:"thumbprint,omitempty"` // of the key that its code is bound to; empty: to none
	RedirectURI string `json:"redirect_uri"`
	Scope       string `json:"scope"`           // with spaces between
	State       string `json:"state,omitempty"` // empty: there is none
	Challenge   string `json:"challenge"`
	Method      string `json:"method"`
	Provider    string `json:"provider,omitempty"` // on whose page the user signs in; empty: the user chooses
}

// SignIn is one that is under way.
type SignIn struct {
	ID string
	Request
	Chosen  string // the provider; empty: none yet
	Version int    // of the provider, when it was chosen
}

// Config is what a store needs.
type Config struct {
	Pushed   time.Duration // how long a request_uri is good
	Lifetime time.Duration // how long a sign-in may take
}

// requestRow is a pushed request.
type requestRow struct {
	Hash     []byte    `gorm:"primaryKey"` // SHA-256 of the request_uri
	Client   string    `gorm:"not null"`
	Data     Request   `gorm:"not null;serializer:json"`
	PushedAt time.Time `gorm:"not null;index"`
}

func (requestRow) TableName() string { return "pushed_requests" }

// row is a sign-in.
type row struct {
	ID         string    `gorm:"primaryKey"`
	Agent      []byte    `gorm:"not null"` // SHA-256 of the cookie
	Data       Request   `gorm:"not null;serializer:json"`
	Provider   string    `gorm:"not null;default:''"`
	Version    int       `gorm:"not null;default:0"`
	State      []byte    `gorm:"index:sign_ins_by_state"` // SHA-256 of what the provider was given; nil: none is chosen
	BegunAt    time.Time `gorm:"not null;index"`
	AnsweredAt *time.Time
}

func (row) TableName() string { return "sign_ins" }

// Models are the tables.
func Models() []any { return []any{&requestRow{}, &row{}} }

func (r row) signIn() SignIn {
	return SignIn{ID: r.ID, Request: r.Data, Chosen: r.Provider, Version: r.Version}
}

// Store is safe for concurrent use.
type Store struct {
	db      *gorm.DB
	writers *store.Group
	config  Config
}

// Open opens the sign-ins of a database that has the tables of [Models].
func Open(db *gorm.DB, config Config) *Store {
	return &Store{db: db, writers: store.NewGroup(db), config: config}
}

// Push keeps a request, and returns the request_uri that stands for it, once.
//
//keyladder:code mediator-push
func (s *Store) Push(ctx context.Context, at time.Time, r Request) (uri string, err error) {
	uri = URN + secrets.New()
	kept := requestRow{Hash: secrets.Hash(uri), Client: r.Client, Data: r, PushedAt: at.UTC()}
	if err := s.writers.Write(ctx, func(tx *gorm.DB) error { return tx.Create(&kept).Error }); err != nil {
		return "", fmt.Errorf("keep a pushed request: %w", err)
	}
	return uri, nil
}

// Begin begins the sign-in for a request, in the user agent that has a cookie. The error is
// [ErrRequest], [ErrClient], which leaves the request as it was, or one of the database.
//
//keyladder:code mediator-begin
func (s *Store) Begin(ctx context.Context, at time.Time, stage, client, uri, agent string) (begun SignIn, err error) {
	at = at.UTC()
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		var found []requestRow
		if err := tx.Find(&found, "hash = ?", secrets.Hash(uri)).Error; err != nil {
			return err
		}
		switch {
		case len(found) == 0 || found[0].Data.Stage != stage:
			return ErrRequest
		case found[0].Client != client:
			return ErrClient
		}
		claimed := tx.Where("hash = ? AND pushed_at > ?", found[0].Hash, at.Add(-s.config.Pushed)).Delete(&requestRow{})
		switch {
		case claimed.Error != nil:
			return claimed.Error
		case claimed.RowsAffected == 0:
			return ErrRequest
		}
		r := row{ID: rand.Text(), Agent: secrets.Hash(agent), Data: found[0].Data, BegunAt: at}
		begun = r.signIn()
		return tx.Create(&r).Error
	})
	if err != nil {
		return SignIn{}, fmt.Errorf("begin a sign-in: %w", err)
	}
	return begun, nil
}

// Choose notes which provider the user has chosen, and returns the state that goes to it. A user who
// goes back can choose another one, and then an answer of the first is worth nothing. The error is
// [ErrUnknown], [ErrAgent], or one of the database.
//
//keyladder:code mediator-choose
func (s *Store) Choose(ctx context.Context, at time.Time, stage, id, agent, provider string, version int) (chosen SignIn, state string, err error) {
	state = secrets.New()
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		var r row
		if err := tx.Take(&r, "id = ?", id).Error; err != nil || r.Data.Stage != stage {
			return unknown(err)
		}
		changed := tx.Model(&row{}).Where("id = ? AND agent = ? AND answered_at IS NULL AND begun_at > ?", id, secrets.Hash(agent), at.UTC().Add(-s.config.Lifetime)).
			Updates(map[string]any{"provider": provider, "version": version, "state": secrets.Hash(state)})
		if changed.Error != nil || changed.RowsAffected == 0 {
			return s.why(changed.Error, r, agent)
		}
		r.Provider, r.Version = provider, version
		chosen = r.signIn()
		return nil
	})
	if err != nil {
		return SignIn{}, "", fmt.Errorf("choose a provider: %w", err)
	}
	return chosen, state, nil
}

// Answer ends the sign-in whose state a provider has sent back, in the user agent in which it was
// begun: nobody can have another one's user agent go on with what they have begun. In any other it
// goes on as if nothing had come. The error is [ErrUnknown], [ErrAgent], or one of the database.
//
//keyladder:code mediator-answer
func (s *Store) Answer(ctx context.Context, at time.Time, stage, state, agent string) (answered SignIn, err error) {
	at = at.UTC()
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		var r row
		if err := tx.Take(&r, "state = ?", secrets.Hash(state)).Error; err != nil || r.Data.Stage != stage {
			return unknown(err)
		}
		claimed := tx.Model(&row{}).Where("id = ? AND state = ? AND agent = ? AND answered_at IS NULL AND begun_at > ?",
			r.ID, secrets.Hash(state), secrets.Hash(agent), at.Add(-s.config.Lifetime)).Update("answered_at", at)
		if claimed.Error != nil || claimed.RowsAffected == 0 {
			return s.why(claimed.Error, r, agent)
		}
		answered = r.signIn()
		return nil
	})
	if err != nil {
		return SignIn{}, fmt.Errorf("take a provider's answer: %w", err)
	}
	return answered, nil
}

func unknown(err error) error {
	if err == nil || errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrUnknown
	}
	return err
}

// why says why a sign-in can't go on.
func (s *Store) why(err error, r row, agent string) error {
	switch {
	case err != nil:
		return err
	case string(r.Agent) != string(secrets.Hash(agent)): // hashes, of which nobody learns more by the time it takes
		return ErrAgent
	}
	return ErrUnknown
}

// Forget removes what is over. Call it now and then.
func (s *Store) Forget(ctx context.Context, at time.Time) error {
	at = at.UTC()
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		return errors.Join(
			tx.Where("pushed_at <= ?", at.Add(-s.config.Pushed)).Delete(&requestRow{}).Error,
			tx.Where("begun_at <= ?", at.Add(-s.config.Lifetime)).Delete(&row{}).Error)
	})
	if err != nil {
		return fmt.Errorf("forget sign-ins: %w", err)
	}
	return nil
}

// Reset removes all.
func (s *Store) Reset(ctx context.Context) error {
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(all.Delete(&requestRow{}).Error, all.Delete(&row{}).Error)
	})
	if err != nil {
		return fmt.Errorf("remove sign-ins: %w", err)
	}
	return nil
}

// IsURI says whether a text could be a request_uri of ours.
func IsURI(text string) bool { return strings.HasPrefix(text, URN) }
