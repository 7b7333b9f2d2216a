package access

import (
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/admin/ui"
)

const (
	auditPage = 100   // entries on a page
	auditKept = 50000 // entries that are kept
)

// Outcome is what came of an action.
type Outcome string

// The outcomes.
const (
	Started     Outcome = "started"     // under way
	Done        Outcome = "done"        //
	Failed      Outcome = "failed"      // see Detail
	Interrupted Outcome = "interrupted" // this program ended meanwhile: it may have been carried out
)

// Entry is one line of the audit log. It is written before the action is carried
// out, and completed afterwards.
type Entry struct {
	ID      uint64 `gorm:"primaryKey"`
	At      time.Time
	EndedAt *time.Time
	Who     string // admin, and which session; or nobody yet
	Address string
	Action  string
	Subject string
	Outcome Outcome
	Detail  string
}

// TableName implements GORM's Tabler.
func (Entry) TableName() string { return "audit" }

// auditLog says who did what, when, and what came of it.
type auditLog struct {
	db  *gorm.DB
	now func() time.Time
}

// setUp closes what an earlier process left open.
func (l *auditLog) setUp() error {
	err := l.db.Model(&Entry{}).Where("outcome = ?", Started).
		Updates(map[string]any{"outcome": Interrupted, "ended_at": l.now()}).Error
	if err != nil {
		return fmt.Errorf("close the audit log's open entries: %w", err)
	}
	oldest := l.db.Model(&Entry{}).Select("MAX(id) - ?", auditKept)
	if err := l.db.Where("id <= (?)", oldest).Delete(&Entry{}).Error; err != nil {
		return fmt.Errorf("shorten the audit log: %w", err)
	}
	return nil
}

// begin writes an entry down before the action is carried out. The action must not be
// carried out when it fails.
func (l *auditLog) begin(who, address, action, subject string) (*Entry, error) {
	entry := &Entry{
		At: l.now(), Who: who, Address: address, Action: action, Subject: subject, Outcome: Started,
	}
	if err := l.db.Create(entry).Error; err != nil {
		return nil, fmt.Errorf("write the audit log: %w", err)
	}
	return entry, nil
}

// end completes an entry; err is why the action failed.
func (l *auditLog) end(entry *Entry, err error) error {
	outcome, detail := Done, ""
	if err != nil {
		outcome, detail = Failed, ui.Cut(err.Error(), 500)
	}
	if err := l.db.Model(entry).Updates(map[string]any{"outcome": outcome, "detail": detail, "ended_at": l.now()}).Error; err != nil {
		return fmt.Errorf("complete the audit log: %w", err)
	}
	return nil
}

// page returns entries below an ID (0: the newest), newest first, and whether there are
// older ones.
func (l *auditLog) page(before uint64) ([]Entry, bool, error) {
	query := l.db.Order("id DESC").Limit(auditPage + 1)
	if before > 0 {
		query = query.Where("id < ?", before)
	}
	var entries []Entry
	if err := query.Find(&entries).Error; err != nil {
		return nil, false, fmt.Errorf("read the audit log: %w", err)
	}
	if len(entries) > auditPage {
		return entries[:auditPage], true, nil
	}
	return entries, false, nil
}
