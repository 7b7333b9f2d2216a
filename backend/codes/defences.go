package codes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// ErrAddress means that a code comes from elsewhere than the user agent that it was sent to. See
// [Store.SetDefences].
var ErrAddress = errors.New("the authorization code comes from another address than the one on which its user has signed in")

// defences is what makes stolen codes less useful, where codes are bound to nothing.
type defences struct {
	ID          int           `gorm:"primaryKey"`
	Lifetime    time.Duration `gorm:"not null"`
	Newest      bool          `gorm:"not null"`
	Fingerprint bool          `gorm:"not null"`
}

func (defences) TableName() string { return "authorization_code_defences" }

// readDefences is what is switched on; nothing is at first.
func readDefences(db *gorm.DB) (d defences, err error) {
	var found []defences
	if err := db.Limit(1).Find(&found).Error; err != nil || len(found) == 0 {
		return defences{}, err
	}
	return found[0], nil
}

// Defences are those that are switched on.
func (s *Store) Defences(ctx context.Context) (manage.CodeDefences, error) {
	d, err := readDefences(s.db.WithContext(ctx))
	if err != nil {
		return manage.CodeDefences{}, fmt.Errorf("read the defences of authorization codes: %w", err)
	}
	return manage.CodeDefences{LifetimeSeconds: int(d.Lifetime / time.Second), Newest: d.Newest, Fingerprint: d.Fingerprint}, nil
}

// SetDefences switches defences on and off. They are for codes that are Defended, and hold from the
// next one on that is issued or redeemed, in each process on the same database.
func (s *Store) SetDefences(ctx context.Context, d manage.CodeDefences) error {
	set := defences{ID: 1, Lifetime: time.Duration(d.LifetimeSeconds) * time.Second, Newest: d.Newest, Fingerprint: d.Fingerprint}
	if err := s.writers.Write(ctx, func(tx *gorm.DB) error { return tx.Save(&set).Error }); err != nil {
		return fmt.Errorf("set the defences of authorization codes: %w", err)
	}
	return nil
}

// MaxLifetime is the longest that a code can be good for.
func (s *Store) MaxLifetime() time.Duration { return s.config.Lifetime }

// cancelOlder is the defence against codes that are kept for later: a user who asks again has not
// got the one before.
//
//keyladder:code code-newest
func cancelOlder(tx *gorm.DB, r row) error {
	return tx.Where("used_at IS NULL AND stage = ? AND user = ? AND client = ?", r.Stage, r.User, r.Client).Delete(&row{}).Error
}

// lifetime is that of a code, as it is presented.
func (s *Store) lifetime(d defences) time.Duration {
	if d.Lifetime > 0 {
		return min(d.Lifetime, s.config.Lifetime)
	}
	return s.config.Lifetime
}

// compared is the address that a code has to come from; empty: any.
//
//keyladder:code code-fingerprint
func (p Presented) compared(d defences) string {
	if d.Fingerprint {
		return p.Address
	}
	return ""
}
