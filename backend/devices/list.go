package devices

import (
	"cmp"
	"context"
	"fmt"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var sorts = store.Sorts{
	"identifier": "identifier", "app": "app", "stage": "stage", "registered": "registered_at", "seen": "last_seen", "banned": "banned_at",
}

// Query lists devices, as the database has them. An error is [store.ErrSort], or one of the
// database.
func (r *Registry) Query(ctx context.Context, q manage.DeviceQuery) (manage.DeviceList, error) {
	_ = r.Flush(ctx) // where that fails, they are in the order of a second ago
	rows, total, err := store.List[row](filtered(r.db.WithContext(ctx), q.DeviceFilter), sorts, store.Part{
		Sort: cmp.Or(q.Sort, "-registered"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed),
	})
	if err != nil {
		return manage.DeviceList{}, fmt.Errorf("list the devices: %w", err)
	}
	list := manage.DeviceList{Devices: make([]manage.Device, len(rows)), Total: total}
	for i, found := range rows {
		list.Devices[i] = found.device().manage()
	}
	return list, nil
}

// filtered are the rows of the devices that a filter means.
func filtered(db *gorm.DB, f manage.DeviceFilter) *gorm.DB {
	query := db.Model(&row{})
	for column, value := range map[string]string{"app": f.App, "stage": f.Stage} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Search != "" {
		query = query.Where(`identifier LIKE ? ESCAPE '\' OR id = ?`, store.Contains(f.Search), f.Search)
	}
	switch f.State {
	case "served":
		query = query.Where("banned_at IS NULL")
	case "banned":
		query = query.Where("banned_at IS NOT NULL")
	}
	if f.By != manage.Anyone {
		query = query.Where("workshop = ?", f.By == manage.Workshop)
	}
	return query
}

// selected are the devices that are selected. It needs writing.
func (r *Registry) selected(ctx context.Context, s manage.DeviceSelection) ([]*Device, error) {
	if len(s.IDs) > 0 {
		return r.named(s.IDs), nil
	}
	if err := r.flush(ctx); err != nil { // or one that was used just now would count as unused
		return nil, err
	}
	query := filtered(r.db.WithContext(ctx), s.DeviceFilter)
	if s.NeverUsed {
		query = query.Where("last_seen IS NULL AND banned_at IS NULL")
	}
	if s.UnseenSince != nil {
		query = query.Where("COALESCE(last_seen, registered_at) < ?", *s.UnseenSince)
	}
	var ids []string
	if err := query.Pluck("id", &ids).Error; err != nil {
		return nil, fmt.Errorf("find the devices that are selected: %w", err)
	}
	return r.named(ids), nil
}
