// Package marks keeps the marks of memories in a server's database: for which time calls may have been
// served that nobody remembers any more once the server has ended, however it ends. See [replay.Mark].
package marks

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/stages/mechanism/replay"
)

// row is the mark of one server. Each server on the data has its own, by where it listens.
type row struct {
	Server string    `gorm:"primaryKey"`
	Until  time.Time `gorm:"not null"`
}

func (row) TableName() string { return "signed_until" }

// Models are the tables.
func Models() []any { return []any{&row{}} }

// Open reads the latest mark that servers before this one, or beside it, have written. Whichever of
// them it takes the place of, it refuses what that one may have served. Resumed says that the database
// was there before. Skew is how far clocks may be apart.
func Open(ctx context.Context, db *gorm.DB, server string, resumed bool, skew time.Duration) (*replay.Mark, error) {
	var rows []row
	if err := db.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read until when requests were signed: %w", err)
	}
	var before time.Time
	for _, row := range rows {
		if row.Until.After(before) {
			before = row.Until
		}
	}
	return replay.NewMark(replay.MarkConfig{
		Resumed: resumed, Before: before, Skew: skew,
		Write: func(until time.Time) error {
			if err := db.Save(&row{Server: server, Until: until.UTC()}).Error; err != nil {
				return fmt.Errorf("write until when requests were signed: %w", err)
			}
			return nil
		},
	}), nil
}
