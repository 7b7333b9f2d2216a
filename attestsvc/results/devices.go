package results

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
)

// deviceRow is an installation that attested.
type deviceRow struct {
	ID            string    `gorm:"primaryKey"`
	Stage         string    `gorm:"not null;uniqueIndex:installation"`
	Client        string    `gorm:"not null;uniqueIndex:installation"`
	Device        string    `gorm:"not null;uniqueIndex:installation"`
	FirstSeen     time.Time `gorm:"not null"`
	LastSeen      time.Time `gorm:"not null;index"`
	Release       int       `gorm:"not null"`
	Good          int64     `gorm:"not null"`
	Failing       int64     `gorm:"not null"`
	LastGood      bool      `gorm:"not null"`
	LastReference string    `gorm:"not null"`
	Certificate   string    `gorm:"not null;default:'';index"` // serial number
	BannedAt      *time.Time
}

func (deviceRow) TableName() string { return "devices" }

func (r deviceRow) manage(events []manage.Event) manage.AttestedDevice {
	return manage.AttestedDevice{
		ID: r.ID, Stage: r.Stage, Client: r.Client, Device: r.Device, FirstSeen: r.FirstSeen, LastSeen: r.LastSeen, Release: r.Release,
		Good: r.Good, Failing: r.Failing, LastGood: r.LastGood, LastReference: r.LastReference, Certificate: r.Certificate, BannedAt: r.BannedAt, History: events,
	}
}

// installation is what a device is banned as.
type installation struct{ stage, client, device string }

// load reads into memory which devices are banned.
func (s *Store) load(ctx context.Context) error {
	var rows []deviceRow
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error { // from the connection that writes
		return tx.Find(&rows, "banned_at IS NOT NULL").Error
	})
	if err != nil {
		return err
	}
	banned := map[installation]bool{}
	for _, r := range rows {
		banned[installation{r.Stage, r.Client, r.Device}] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.banned = banned
	return nil
}

// Banned says whether a device is.
func (s *Store) Banned(stage, client, device string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.banned[installation{stage, client, device}]
}

// Ban has a device fail from its next attestation on. The error is [ErrNone], or one of the
// database.
func (s *Store) Ban(ctx context.Context, id string) (manage.AttestedDevice, error) {
	at := s.now().UTC()
	return s.mark(ctx, id, &at, "banned")
}

// Lift accepts a device again.
func (s *Store) Lift(ctx context.Context, id string) (manage.AttestedDevice, error) {
	return s.mark(ctx, id, nil, "ban lifted")
}

func (s *Store) mark(ctx context.Context, id string, bannedAt *time.Time, what string) (manage.AttestedDevice, error) {
	s.banning.Lock()
	defer s.banning.Unlock()
	ctx = context.WithoutCancel(ctx)
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var r deviceRow
		if err := tx.Take(&r, "id = ?", id).Error; err != nil {
			return err
		}
		if (r.BannedAt == nil) == (bannedAt == nil) {
			return nil // it is so already, and since then
		}
		return errors.Join(tx.Model(&r).Update("banned_at", bannedAt).Error, history.Add(tx, history.Device, id, s.now().UTC(), what))
	})
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return manage.AttestedDevice{}, ErrNone
	case err == nil:
		err = s.load(ctx)
	}
	if err != nil {
		return manage.AttestedDevice{}, fmt.Errorf("ban a device, or lift the ban: %w", err)
	}
	return s.Device(ctx, id)
}

// Device is a device, with its history. The error is [ErrNone], or one of the database.
func (s *Store) Device(ctx context.Context, id string) (manage.AttestedDevice, error) {
	var r deviceRow
	err := s.db.WithContext(ctx).Take(&r, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return manage.AttestedDevice{}, ErrNone
	}
	if err != nil {
		return manage.AttestedDevice{}, fmt.Errorf("look for a device: %w", err)
	}
	events, err := history.Of(s.db.WithContext(ctx), history.Device, id)
	return r.manage(events[id]), err
}
