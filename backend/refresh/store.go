package refresh

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/store"
)

// Errors of the store. But for [ErrKey] and [ErrNoFamily], each is invalid_grant at the token
// endpoint (RFC 6749, section 5.2).
var (
	ErrUnknown  = errors.New("there is no such refresh token at this stage, or no longer")
	ErrClient   = errors.New("the refresh token was issued to another client")
	ErrDevice   = errors.New("the family of the refresh token belongs to another device")
	ErrProof    = errors.New("the family of the refresh token belongs to the holder of another key")
	ErrRevoked  = errors.New("the family of the refresh token was revoked")
	ErrExpired  = errors.New("the family of the refresh token is too old")
	ErrIdle     = errors.New("the family of the refresh token was not used for too long")
	ErrReused   = errors.New("the refresh token was used before: its family is revoked")
	ErrKey      = errors.New("an idempotency key is a random text of 22 to 255 bytes")
	ErrNoFamily = errors.New("there is no such family of refresh tokens")
)

// ReusedError is [ErrReused], with the family that was revoked for it: the access tokens that
// carry its ID have to end.
type ReusedError struct{ Family Family }

// Error is the text of [ErrReused].
func (*ReusedError) Error() string { return ErrReused.Error() }

// Is makes it [ErrReused].
func (*ReusedError) Is(target error) bool { return target == ErrReused }

// Grant is what a family is begun for.
type Grant struct {
	Stage  string
	User   string // the resource owner
	Client string
	Scope  string // with spaces between. Requests can narrow an access token, and never the family
	Origin string // the authorization code that it came of, by its ID; empty: none
	Device string // the installation that it belongs to; empty: it is bound to none
	// Thumbprint is that of the key whose holder it belongs to (RFC 9449, section 5). Empty: it is bound
	// to none.
	Thumbprint string
}

// Family is a family of refresh tokens.
type Family struct {
	ID string
	Grant
	Number int // of its newest token, from 1 on
}

// Config is what a store needs.
type Config struct {
	Idle     time.Duration    // how long a family lasts without use
	Absolute time.Duration    // and how long at most
	Repeat   time.Duration    // for how long a lost answer can be asked for again; 0: not at all
	Kept     time.Duration    // how long families stay in the lists after their end; 0: a day
	Now      func() time.Time // nil: the clock
}

// Store is the refresh tokens of one server. It is safe for concurrent use.
type Store struct {
	db      *gorm.DB
	writers *store.Group
	config  Config
}

// Open opens the families in a database that has [Models]' tables.
func Open(_ context.Context, db *gorm.DB, config Config) (*Store, error) {
	if config.Idle <= 0 || config.Absolute <= 0 {
		return nil, errors.New("families of refresh tokens need a time after which they end")
	}
	if config.Kept == 0 {
		config.Kept = 24 * time.Hour
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Store{db: db, writers: store.NewGroup(db), config: config}, nil
}

// tokenBytes and saltBytes are random.
const tokenBytes, saltBytes = 32, 16

// Begin begins a family, and returns its first token: 256 random bits in base64url, without
// padding. The token is kept nowhere.
func (s *Store) Begin(ctx context.Context, at time.Time, g Grant) (text string, f Family, err error) {
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		text, f, err = s.BeginIn(tx, at, g)
		return err
	})
	if err != nil {
		return "", Family{}, err
	}
	return text, f, nil
}

// BeginIn is [Store.Begin] in a transaction on the store's database: an authorization code is
// used up with it, or nothing of both happens.
func (s *Store) BeginIn(tx *gorm.DB, at time.Time, g Grant) (text string, f Family, err error) {
	at = at.UTC()
	row := familyRow{
		ID: rand.Text(), Stage: g.Stage, User: g.User, Client: g.Client, Scope: g.Scope, Origin: g.Origin, Device: g.Device, Thumbprint: g.Thumbprint,
		BegunAt: at, UsedAt: at, Number: 1,
	}
	text = random()
	if err := tx.Create(&row).Error; err != nil {
		return "", Family{}, fmt.Errorf("begin a family of refresh tokens: %w", err)
	}
	if err := add(tx, at, row.ID, 1, text); err != nil {
		return "", Family{}, err
	}
	return text, row.family(), nil
}

// add writes a token of a family down.
func add(tx *gorm.DB, at time.Time, family string, number int, text string) error {
	row := tokenRow{Hash: digest(text), Family: family, Number: number, Salt: make([]byte, saltBytes), IssuedAt: at}
	rand.Read(row.Salt) // never fails
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("write down a refresh token: %w", err)
	}
	return nil
}

func random() string {
	bits := make([]byte, tokenBytes)
	rand.Read(bits)
	return base64.RawURLEncoding.EncodeToString(bits)
}

func digest(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	return hash[:]
}

// next is the successor of a token that is used with an idempotency key. The salt has a fixed
// length, so what is hashed reads in one way only.
//
//keyladder:code refresh-successor
func next(token string, salt []byte, key string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("next"))
	mac.Write(salt)
	mac.Write([]byte(key))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
