package tokens

import (
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/mechanism/token"
)

// keyRow is a signing key in the database.
type keyRow struct {
	ID          string    `gorm:"primaryKey"` // kid
	Stage       string    `gorm:"not null;index"`
	Secret      []byte    `gorm:"not null"` // in clear: whoever signs needs it
	CreatedAt   time.Time `gorm:"not null"`
	ReplacedAt  *time.Time
	WithdrawnAt *time.Time
}

func (keyRow) TableName() string { return "signing_keys" }

// tokenRow is an access token in the database: what it says, and not the token.
type tokenRow struct {
	ID         string    `gorm:"primaryKey"`                                               // jti
	Hash       []byte    `gorm:"uniqueIndex:access_tokens_by_hash,where:hash IS NOT NULL"` // SHA-256 of an opaque token; nil: it is a JWT
	Key        string    `gorm:"not null;index"`
	Stage      string    `gorm:"not null;index"`
	User       string    `gorm:"not null;index"`
	Client     string    `gorm:"not null;index"`
	Scope      string    `gorm:"not null"`
	Family     string    `gorm:"not null;default:'';index:access_tokens_of_family,where:family <> ''"`
	Generation int       `gorm:"not null;default:0"`
	Origin     string    `gorm:"not null;default:'';index:access_tokens_of_origin,where:origin <> ''"`
	IssuedAt   time.Time `gorm:"not null;index"`
	ExpiresAt  time.Time `gorm:"not null;index"`
	RevokedAt  *time.Time
	Calls      int64 `gorm:"not null;default:0"`
	LastUsedAt *time.Time
}

func (tokenRow) TableName() string { return "access_tokens" }

// Models are the tables of keys and tokens, without those of package feed.
func Models() []any { return []any{&keyRow{}, &tokenRow{}, &callRow{}, &offRow{}} }

func (row tokenRow) manage() manage.Token {
	return manage.Token{
		ID: row.ID, Key: row.Key, Stage: row.Stage, User: row.User, Client: row.Client, Scope: row.Scope,
		Family: row.Family, Generation: row.Generation, Origin: row.Origin,
		IssuedAt: row.IssuedAt, ExpiresAt: row.ExpiresAt, RevokedAt: row.RevokedAt, Calls: row.Calls, LastUsedAt: row.LastUsedAt,
	}
}

// key is a signing key in memory.
type key struct {
	token.Key
	stage       string
	createdAt   time.Time
	replacedAt  *time.Time
	withdrawnAt *time.Time
}

// goodUntil is from when on nothing that the key signed is accepted; zero: that is not known yet.
func (k *key) goodUntil(overlap time.Duration) (until time.Time) {
	if k.replacedAt != nil {
		until = k.replacedAt.Add(overlap)
	}
	if k.withdrawnAt != nil && (until.IsZero() || k.withdrawnAt.Before(until)) {
		until = *k.withdrawnAt
	}
	return until
}

func (k *key) good(at time.Time, overlap time.Duration) bool {
	until := k.goodUntil(overlap)
	return until.IsZero() || at.Before(until)
}
