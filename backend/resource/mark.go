package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// signed is one row: the mark of the guard's memory of nonces, which ends with the server.
type signed struct {
	ID    int       `gorm:"primaryKey"`
	Until time.Time `gorm:"not null"`
}

func (signed) TableName() string { return "signed" }

// openMark reads the mark that the server before this one has written.
func (s *Server) openMark(ctx context.Context, resumed bool) (*replay.Mark, error) {
	var row signed
	if err := s.db.WithContext(ctx).First(&row).Error; err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fmt.Errorf("read until when requests were signed: %w", err)
	}
	return replay.NewMark(replay.MarkConfig{
		Resumed: resumed, Before: row.Until, Skew: hawk.DefaultSkew,
		Write: func(until time.Time) error {
			if err := s.db.Save(&signed{ID: 1, Until: until.UTC()}).Error; err != nil {
				return fmt.Errorf("write until when requests were signed: %w", err)
			}
			return nil
		},
	}), nil
}
