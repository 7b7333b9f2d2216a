package refresh

import (
	"time"

	"keyladder/internal/manage"
)

// familyRow is a family in the database.
type familyRow struct {
	ID         string    `gorm:"primaryKey"`
	Stage      string    `gorm:"not null"`
	User       string    `gorm:"not null;index"`
	Client     string    `gorm:"not null;index"`
	Scope      string    `gorm:"not null"`
	Origin     string    `gorm:"not null;index:refresh_families_of_origin,where:origin <> ''"`
	Device     string    `gorm:"not null;default:''"`
	Thumbprint string    `gorm:"not null;default:''"`
	BegunAt    time.Time `gorm:"not null;index"`
	UsedAt     time.Time `gorm:"not null"` // last, or BegunAt
	Number     int       `gorm:"not null"` // of the newest token, from 1 on
	RevokedAt  *time.Time
	Reused     bool `gorm:"not null;default:false"` // that is why
}

func (familyRow) TableName() string { return "refresh_families" }

// tokenRow is a refresh token in the database. Family and Number are unique together: a family
// can't fork.
type tokenRow struct {
	Hash     []byte    `gorm:"primaryKey"` // SHA-256 of the token
	Family   string    `gorm:"not null;uniqueIndex:refresh_generation"`
	Number   int       `gorm:"not null;uniqueIndex:refresh_generation"`
	Salt     []byte    `gorm:"not null"` // for its successor
	IssuedAt time.Time `gorm:"not null"`
	UsedAt   *time.Time
	KeyHash  []byte // SHA-256 of the idempotency key that it was used with; nil: with none
	Repeated int    `gorm:"not null;default:0"`
	ReusedAt *time.Time
}

func (tokenRow) TableName() string { return "refresh_tokens" }

// Models are the tables of families and tokens.
func Models() []any { return []any{&familyRow{}, &tokenRow{}} }

func (f familyRow) family() Family {
	return Family{ID: f.ID, Grant: Grant{Stage: f.Stage, User: f.User, Client: f.Client, Scope: f.Scope, Origin: f.Origin, Device: f.Device, Thumbprint: f.Thumbprint}, Number: f.Number}
}

// ends is when a family ends that nobody uses any more.
func (s *Store) ends(f familyRow) time.Time {
	expires := f.UsedAt.Add(s.config.Idle)
	if last := f.BegunAt.Add(s.config.Absolute); last.Before(expires) {
		return last
	}
	return expires
}

func (s *Store) manage(f familyRow, generations []manage.Generation) manage.Family {
	return manage.Family{
		ID: f.ID, Stage: f.Stage, User: f.User, Client: f.Client, Scope: f.Scope, Origin: f.Origin, Device: f.Device, BegunAt: f.BegunAt, UsedAt: f.UsedAt,
		ExpiresAt: s.ends(f), RevokedAt: f.RevokedAt, Reused: f.Reused, Number: f.Number, Generations: generations,
	}
}

func (t tokenRow) manage() manage.Generation {
	return manage.Generation{Number: t.Number, IssuedAt: t.IssuedAt, UsedAt: t.UsedAt, Repeated: t.Repeated, ReusedAt: t.ReusedAt}
}
