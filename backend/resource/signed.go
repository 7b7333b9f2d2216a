package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// signed is one row: until when requests were signed whose nonces the guard remembers. It
// forgets them when the server ends.
type signed struct {
	ID    int       `gorm:"primaryKey"`
	Until time.Time `gorm:"not null"`
}

func (signed) TableName() string { return "signed" }

// signedUntil reads what the server before this one has written. Zero: nothing.
func (s *Server) signedUntil(ctx context.Context) (time.Time, error) {
	var row signed
	if err := s.db.WithContext(ctx).First(&row).Error; err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return time.Time{}, fmt.Errorf("read until when requests were signed: %w", err)
	}
	return row.Until, nil
}

// writeSigned writes it for the next one.
func (s *Server) writeSigned(ctx context.Context) error {
	until := s.guard.Signed()
	if until.IsZero() || until.Equal(s.signed) {
		return nil
	}
	if err := s.db.WithContext(ctx).Save(&signed{ID: 1, Until: until.UTC()}).Error; err != nil {
		return fmt.Errorf("write until when requests were signed: %w", err)
	}
	s.signed = until
	return nil
}
