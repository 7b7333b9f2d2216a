package tokens

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
)

// RevocationSwitch says at which stages it is not looked at whether access tokens were revoked.
// It is in the database of the servers that check tokens, so that all of them do the same, and
// go on with it when they start anew. Revocations are written and told as ever, so once the
// check is on again, it refuses all that were revoked meanwhile. It is safe for concurrent use.
type RevocationSwitch struct {
	db       *gorm.DB
	changes  *durable.Feed[string] // stages whose switch was used
	follower feed.Follower[string]
	off      atomic.Pointer[map[string]time.Time] // since when, by stage
}

// offRow is a stage at which the check is off.
type offRow struct {
	Stage string    `gorm:"primaryKey"`
	Since time.Time `gorm:"not null"`
}

func (offRow) TableName() string { return "revocations_unchecked" }

// OpenRevocationSwitch reads a database that has the tables of [Models] and of
// [durable.Models].
func OpenRevocationSwitch(ctx context.Context, db *gorm.DB) (*RevocationSwitch, error) {
	s := &RevocationSwitch{db: db}
	var err error
	if s.changes, err = durable.Open[string](ctx, db, "revocation switch", changesKept); err != nil {
		return nil, err
	}
	s.follower = feed.Follower[string]{Feed: s.changes, Wait: 20 * time.Second, Load: s.load, Apply: func(ctx context.Context, page feed.Page[string]) error {
		if len(page.Entries) == 0 {
			return nil
		}
		_, err := s.load(ctx)
		return err
	}}
	at, err := s.load(ctx)
	s.follower.From(at)
	return s, err
}

// Follow keeps in step with other processes on the database, until ctx ends.
func (s *RevocationSwitch) Follow(ctx context.Context) { s.follower.Run(ctx) }

// Off says whether the check is off at a stage.
func (s *RevocationSwitch) Off(stage string) bool {
	_, off := s.Since(stage)
	return off
}

// Since says from when on the check is off at a stage, if it is.
func (s *RevocationSwitch) Since(stage string) (since time.Time, off bool) {
	since, off = (*s.off.Load())[stage]
	return since, off
}

// Set switches the check at a stage on, or off since that time.
func (s *RevocationSwitch) Set(ctx context.Context, stage string, on bool, at time.Time) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		if on {
			return tx.Delete(&offRow{}, "stage = ?", stage).Error
		}
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&offRow{Stage: stage, Since: at.UTC()}).Error
	}, stage)
}

// Reset switches the check on at all stages.
func (s *RevocationSwitch) Reset(ctx context.Context) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		return tx.Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&offRow{}).Error
	}, "")
}

func (s *RevocationSwitch) change(ctx context.Context, write func(*gorm.DB) error, stage string) error {
	// A caller that goes away must not leave us guessing whether it was written.
	ctx = context.WithoutCancel(ctx)
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := write(tx); err != nil {
			return err
		}
		_, err := s.changes.Append(tx, stage)
		return err
	})
	if err != nil {
		return fmt.Errorf("switch the check for revoked access tokens: %w", err)
	}
	_, err = s.load(ctx)
	return err
}

// load puts in force what the database says.
func (s *RevocationSwitch) load(ctx context.Context) (at feed.Cursor, err error) {
	var rows []offRow
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if at, err = s.changes.End(tx); err != nil {
			return err
		}
		return tx.Find(&rows).Error
	})
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("read where revoked access tokens are served: %w", err)
	}
	off := map[string]time.Time{}
	for _, row := range rows {
		off[row.Stage] = row.Since
	}
	s.off.Store(&off)
	return at, nil
}
