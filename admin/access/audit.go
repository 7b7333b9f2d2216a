package access

import (
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

const auditKept = 50000 // entries

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

var auditSorts = store.Sorts{"at": "id", "action": "action", "subject": "subject", "outcome": "outcome", "who": "who"}

// Outcomes are all that an entry can have.
func Outcomes() []Outcome { return []Outcome{Done, Failed, Interrupted, Started} }

// AuditQuery asks for entries of the audit log; what is empty does not matter. They are sorted
// by at, action, subject, outcome or who.
type AuditQuery struct {
	Search  string // a part of the action, of what it was about, of what came of it, or of who it was
	Outcome Outcome
	manage.Part
}

// list returns the entries that are asked for, and how many fit in all.
func (l *auditLog) list(q AuditQuery) ([]Entry, int, error) {
	query := l.db.Model(&Entry{})
	if q.Search != "" {
		has := store.Contains(q.Search)
		query = query.Where(`action LIKE @has ESCAPE '\' OR subject LIKE @has ESCAPE '\' OR detail LIKE @has ESCAPE '\' OR who LIKE @has ESCAPE '\' OR address LIKE @has ESCAPE '\'`,
			sql.Named("has", has))
	}
	if q.Outcome != "" {
		query = query.Where("outcome = ?", q.Outcome)
	}
	entries, total, err := store.List[Entry](query, auditSorts, store.Part{Sort: q.Sort, From: q.From, Limit: q.Limit})
	if err != nil {
		return nil, 0, fmt.Errorf("read the audit log: %w", err)
	}
	return entries, total, nil
}
