package users

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// row says that a user has signed in at a place.
type row struct {
	Name       string    `gorm:"primaryKey"`
	Place      string    `gorm:"primaryKey"` // see Origin.place
	SignedInAt time.Time `gorm:"not null"`   // the last time
}

func (row) TableName() string { return "familiar" }

// Models are the table of familiar places.
func Models() []any { return []any{&row{}} }

// load needs no lock: nobody knows the directory yet.
func (d *Directory) load(ctx context.Context) error {
	var rows []row
	if err := d.db.WithContext(ctx).Order("signed_in_at").Find(&rows).Error; err != nil {
		return fmt.Errorf("read where users have signed in: %w", err)
	}
	for _, r := range rows {
		if d.users[r.Name] != nil {
			d.throttle.befriend(r.Name, r.Place)
		}
	}
	return nil
}

// remember writes that the user has signed in there, and drops the places that are too
// many. It needs writing.
func (d *Directory) remember(ctx context.Context, at time.Time, name string, from Origin) error {
	// A caller that goes away must not leave us guessing whether it was written.
	err := d.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		latest := row{Name: name, Place: from.place(), SignedInAt: at.UTC()}
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&latest).Error; err != nil {
			return err
		}
		kept := tx.Model(&row{}).Select("place").Where("name = ?", name).Order("signed_in_at DESC").Limit(MaxFamiliar)
		return tx.Where("name = ? AND place NOT IN (?)", name, kept).Delete(&row{}).Error
	})
	if err != nil {
		return fmt.Errorf("write where a user has signed in: %w", err)
	}
	return nil
}

// Reset forgets all failed attempts, and where users have signed in.
func (d *Directory) Reset(ctx context.Context) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	all := d.db.WithContext(context.WithoutCancel(ctx)).Session(&gorm.Session{AllowGlobalUpdate: true})
	if err := all.Delete(&row{}).Error; err != nil {
		return fmt.Errorf("clear where users have signed in: %w", err)
	}
	d.throttle.reset()
	return nil
}
