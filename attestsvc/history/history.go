// Package history keeps what happened to what is looked after for long: references, signers,
// devices. An event is written in the transaction of the change that it is about.
package history

import (
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Kind is what an event is about.
type Kind string

// The kinds.
const (
	Reference Kind = "reference" // by the SHA-256 of the package
	Signer    Kind = "signer"    // by client and pin
	Device    Kind = "device"    // by its ID

	Certificate Kind = "certificate" // of a device or a maker, by its serial number
	System      Kind = "system"      // by the pin of the key that it is signed with
)

// row is an event.
type row struct {
	ID      int64     `gorm:"primaryKey"`
	Kind    Kind      `gorm:"not null;index:subject"`
	Subject string    `gorm:"not null;index:subject"`
	At      time.Time `gorm:"not null"`
	What    string    `gorm:"not null"`
}

func (row) TableName() string { return "events" }

// Models are the table of events.
func Models() []any { return []any{&row{}} }

// Add notes an event.
func Add(tx *gorm.DB, kind Kind, subject string, at time.Time, what string) error {
	return tx.Create(&row{Kind: kind, Subject: subject, At: at, What: what}).Error
}

// Forget forgets the events of subjects that are gone.
func Forget(tx *gorm.DB, kind Kind, subjects []string) error {
	return tx.Delete(&row{}, "kind = ? AND subject IN ?", kind, subjects).Error
}

// Reset forgets all events of the kinds.
func Reset(tx *gorm.DB, kinds ...Kind) error {
	return tx.Delete(&row{}, "kind IN ?", kinds).Error
}

// Of are the events of subjects, the oldest first.
func Of(db *gorm.DB, kind Kind, subjects ...string) (map[string][]manage.Event, error) {
	var rows []row
	if err := db.Order("id").Find(&rows, "kind = ? AND subject IN ?", kind, subjects).Error; err != nil {
		return nil, fmt.Errorf("read what happened: %w", err)
	}
	events := map[string][]manage.Event{}
	for _, subject := range subjects {
		events[subject] = []manage.Event{}
	}
	for _, r := range rows {
		events[r.Subject] = append(events[r.Subject], manage.Event{At: r.At, What: r.What})
	}
	return events, nil
}
