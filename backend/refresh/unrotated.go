package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Use has mint make an access token for a refresh token, which stays good: it is for servers that do
// not rotate (RFC 6749, section 6, leaves them that). A thief who has a copy can use it beside its
// owner, and nobody notices.
//
// An error of mint is returned as it is. Others are those above, or one of the database.
//
//keyladder:code refresh-use
func (s *Store) Use(ctx context.Context, at time.Time, p Presented, mint func(tx *gorm.DB, f Family) error) error {
	at = at.UTC()
	return s.writers.Write(ctx, func(tx *gorm.DB) error {
		var used []familyRow
		err := tx.Raw(`UPDATE refresh_families SET used_at = ? WHERE id = (SELECT family FROM refresh_tokens WHERE hash = ? AND used_at IS NULL)
			AND stage = ? AND client = ? AND `+live+` RETURNING *`,
			append([]any{at, digest(p.Text), p.Stage, p.Client}, s.alive(at)...)...).Scan(&used).Error
		switch {
		case err != nil:
			return fmt.Errorf("use a refresh token: %w", err)
		case len(used) == 0:
			return s.unusable(tx, at, p)
		}
		return mint(tx, used[0].family())
	})
}

// unusable says why a token could not be used.
func (s *Store) unusable(tx *gorm.DB, at time.Time, p Presented) error {
	_, f, refused, err := s.find(tx, p.Stage, p.Text, p.Client)
	if err != nil || refused != nil {
		return errors.Join(refused, err)
	}
	switch age := at.Sub(f.BegunAt); {
	case f.RevokedAt != nil:
		return ErrRevoked
	case age < 0 || age >= s.config.Absolute:
		return ErrExpired
	}
	return ErrIdle
}
