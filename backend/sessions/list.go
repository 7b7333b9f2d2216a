package sessions

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var sorts = store.Sorts{
	"user": "user", "app": "app", "stage": "stage", "device": "device", "created": "created_at", "used": "last_used_at",
}

// Query lists sessions that are good at that time, as the database has them. An error is
// [store.ErrSort], or one of the database.
func (s *Store) Query(ctx context.Context, at time.Time, q manage.SessionQuery) (manage.SessionList, error) {
	_ = s.Flush(ctx, at) // where that fails, they are listed as they were a second ago
	rows, total, err := store.List[row](s.good(s.db.WithContext(ctx), at, q.SessionFilter), sorts, store.Part{
		Sort: cmp.Or(q.Sort, "-created"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed),
	})
	if err != nil {
		return manage.SessionList{}, fmt.Errorf("list the sessions: %w", err)
	}
	list := manage.SessionList{Sessions: make([]manage.Session, len(rows)), Total: total}
	for i, r := range rows {
		list.Sessions[i] = manage.Session{
			ID: r.ID, User: r.User, App: r.App, Stage: r.Stage, Device: r.Device, CreatedAt: r.CreatedAt, LastUsedAt: r.LastUsedAt,
			ExpiresAt: r.CreatedAt.Add(s.lifetimes.Absolute), Workshop: r.Workshop,
		}
	}
	return list, nil
}

// good are the rows of sessions that a filter means and that are good at that time.
func (s *Store) good(db *gorm.DB, at time.Time, f manage.SessionFilter) *gorm.DB {
	query := db.Model(&row{}).Where("created_at > ? AND created_at <= ? AND last_used_at > ?",
		at.Add(-s.lifetimes.Absolute), at, at.Add(-s.lifetimes.Idle))
	for column, value := range map[string]string{"user": f.User, "app": f.App, "stage": f.Stage} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Search != "" {
		has := store.Contains(f.Search)
		query = query.Where(`user LIKE ? ESCAPE '\' OR app LIKE ? ESCAPE '\' OR device LIKE ? ESCAPE '\' OR id = ?`, has, has, has, f.Search)
	}
	if f.By != manage.Anyone {
		query = query.Where("workshop = ?", f.By == manage.Workshop)
	}
	return query
}

// Count is how many sessions each user has that are good at that time; users without any are
// left out.
func (s *Store) Count(ctx context.Context, at time.Time) (map[string]int, error) {
	byUser, err := store.CountByUser(s.good(s.db.WithContext(ctx), at, manage.SessionFilter{}))
	if err != nil {
		return nil, fmt.Errorf("count the sessions: %w", err)
	}
	return byUser, nil
}

// EndSelected ends the sessions that are selected and says how many those were.
func (s *Store) EndSelected(ctx context.Context, at time.Time, selection manage.SessionSelection) (int, error) {
	ids := selection.IDs
	if len(ids) == 0 {
		_ = s.Flush(ctx, at)
		if err := s.good(s.db.WithContext(ctx), at, selection.SessionFilter).Pluck("id", &ids).Error; err != nil {
			return 0, fmt.Errorf("find the sessions to end: %w", err)
		}
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	return s.end(ctx, func(one *Session) bool { return wanted[one.ID] })
}

// MarkWorkshop marks the sessions on these devices of a stage as the workshop's.
func (s *Store) MarkWorkshop(ctx context.Context, stage string, devices []string) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	marked := s.db.WithContext(ctx).Model(&row{}).Where("stage = ? AND device IN ?", stage, devices).Update("workshop", true)
	if marked.Error != nil {
		return 0, fmt.Errorf("mark sessions as the workshop's: %w", marked.Error)
	}
	return int(marked.RowsAffected), nil
}
