package resource

import (
	"context"
	"fmt"
	"time"

	"keyladder/internal/deployment"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// signed is the mark of a guard's memory of nonces, which ends with its server. Each server on
// the data has its own row, by where it listens.
type signed struct {
	Server string    `gorm:"primaryKey"`
	Until  time.Time `gorm:"not null"`
}

func (signed) TableName() string { return "signed_until" }

// openMark reads the latest mark that servers before this one, or beside it, have written.
// Whichever of them it takes the place of, it refuses what that one may have served.
func (s *Server) openMark(ctx context.Context, resumed bool) (*replay.Mark, error) {
	var rows []signed
	if err := s.db.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read until when requests were signed: %w", err)
	}
	var before time.Time
	for _, row := range rows {
		if row.Until.After(before) {
			before = row.Until
		}
	}
	name := s.config.Folder.Addresses.Listen(deployment.API)
	return replay.NewMark(replay.MarkConfig{
		Resumed: resumed, Before: before, Skew: hawk.DefaultSkew,
		Write: func(until time.Time) error {
			if err := s.db.Save(&signed{Server: name, Until: until.UTC()}).Error; err != nil {
				return fmt.Errorf("write until when requests were signed: %w", err)
			}
			return nil
		},
	}), nil
}
