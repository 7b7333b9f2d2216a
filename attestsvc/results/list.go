package results

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var (
	sorts       = store.Sorts{"at": "at", "stage": "stage", "client": "client", "device": "device", "release": "release", "good": "good"}
	deviceSorts = store.Sorts{
		"device": "device", "client": "client", "stage": "stage", "first": "first_seen", "seen": "last_seen", "good": "good", "failing": "failing", "banned": "banned_at",
	}
)

// equal narrows a query to rows whose columns are as given; what is empty does not matter.
func equal(query *gorm.DB, columns map[string]string) *gorm.DB {
	for column, value := range columns {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	return query
}

// Query lists results. An error is [store.ErrSort], or one of the database.
func (s *Store) Query(ctx context.Context, q manage.AttestationQuery) (manage.AttestationList, error) {
	query := equal(s.db.WithContext(ctx).Model(&row{}), map[string]string{"stage": q.Stage, "client": q.Client, "device": q.Device})
	switch q.Outcome {
	case manage.GoodOutcome:
		query = query.Where("good")
	case manage.FailingOutcome:
		query = query.Where("NOT good")
	case manage.WatchedOutcome:
		query = query.Where("watched")
	}
	if q.Search != "" {
		part := store.Contains(q.Search)
		query = query.Where(`device LIKE ? ESCAPE '\' OR client LIKE ? ESCAPE '\' OR id = ?`, part, part, q.Search)
	}
	rows, total, err := store.List[row](query, sorts, store.Part{Sort: cmp.Or(q.Sort, "-at"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed)})
	if err != nil {
		return manage.AttestationList{}, fmt.Errorf("list the results: %w", err)
	}
	list := manage.AttestationList{Attestations: make([]manage.Attestation, len(rows)), Total: total}
	for i, found := range rows {
		if list.Attestations[i], err = found.manage(); err != nil {
			return manage.AttestationList{}, err
		}
	}
	return list, nil
}

// By is the result with a reference code. The error is [ErrNone], or one of the database.
func (s *Store) By(ctx context.Context, reference string) (manage.Attestation, error) {
	var r row
	err := s.db.WithContext(ctx).Take(&r, "id = ?", reference).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return manage.Attestation{}, ErrNone
	}
	if err != nil {
		return manage.Attestation{}, fmt.Errorf("look for a result: %w", err)
	}
	return r.manage()
}

// Devices lists devices. An error is [store.ErrSort], or one of the database.
func (s *Store) Devices(ctx context.Context, q manage.AttestedDeviceQuery) (manage.AttestedDeviceList, error) {
	query := equal(s.db.WithContext(ctx).Model(&deviceRow{}), map[string]string{"stage": q.Stage, "client": q.Client})
	switch q.State {
	case "served":
		query = query.Where("banned_at IS NULL")
	case "banned":
		query = query.Where("banned_at IS NOT NULL")
	}
	if q.Search != "" {
		query = query.Where(`device LIKE ? ESCAPE '\' OR id = ? OR certificate = ?`, store.Contains(q.Search), q.Search, q.Search)
	}
	rows, total, err := store.List[deviceRow](query, deviceSorts, store.Part{Sort: cmp.Or(q.Sort, "-seen"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed)})
	if err != nil {
		return manage.AttestedDeviceList{}, fmt.Errorf("list the devices: %w", err)
	}
	ids := make([]string, len(rows))
	for i, found := range rows {
		ids[i] = found.ID
	}
	events, err := history.Of(s.db.WithContext(ctx), history.Device, ids...)
	if err != nil {
		return manage.AttestedDeviceList{}, err
	}
	list := manage.AttestedDeviceList{Devices: make([]manage.AttestedDevice, len(rows)), Total: total}
	for i, found := range rows {
		list.Devices[i] = found.manage(events[found.ID])
	}
	return list, nil
}

// Watched counts the results that are kept, by stage and by what was found out. The stages are in
// no order.
func (s *Store) Watched(ctx context.Context) ([]manage.Watched, error) {
	var rows []struct {
		Stage                                         string
		Good                                          bool
		Executables, Runtime, Configuration, Instance manage.Trust
		Count                                         int
	}
	const columns = "stage, good, executables, runtime, configuration, instance"
	if err := s.db.WithContext(ctx).Model(&row{}).Select(columns + ", COUNT(*) AS count").Group(columns).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("count the results: %w", err)
	}
	byStage := map[string]*manage.Watched{}
	for _, r := range rows {
		of := byStage[r.Stage]
		if of == nil {
			of = &manage.Watched{Stage: r.Stage, Claims: map[manage.ClaimName]manage.WatchedCounts{}}
			byStage[r.Stage] = of
		}
		of.Total += r.Count
		if !r.Good {
			of.Failing += r.Count
		}
		would := false
		for claim, trust := range map[manage.ClaimName]manage.Trust{
			manage.Executables: r.Executables, manage.Runtime: r.Runtime, manage.Configuration: r.Configuration, manage.Instance: r.Instance,
		} {
			counts := of.Claims[claim]
			switch trust {
			case manage.Affirming:
				counts.Affirming += r.Count
			case manage.Warning:
				counts.Warning += r.Count
				if r.Good {
					counts.Would += r.Count
					would = true
				}
			case manage.Contraindicated:
				counts.Contraindicated += r.Count
			default:
				counts.NotLookedAt += r.Count
			}
			of.Claims[claim] = counts
		}
		if would {
			of.Would += r.Count
		}
	}
	all := []manage.Watched{}
	for _, of := range byStage {
		all = append(all, *of)
	}
	return all, nil
}

// Forget removes the oldest results, and the devices that were not seen for longest, beyond those
// that are kept.
func (s *Store) Forget(ctx context.Context) error {
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		beyond := tx.Model(&row{}).Select("id").Order("at DESC").Offset(s.most).Limit(-1)
		if err := tx.Where("id IN (?)", beyond).Delete(&row{}).Error; err != nil {
			return err
		}
		var gone []string
		err := tx.Model(&deviceRow{}).Where("banned_at IS NULL").Order("last_seen DESC").Offset(s.most).Limit(-1).Pluck("id", &gone).Error
		for len(gone) > 0 && err == nil {
			part := gone[:min(len(gone), 500)] // SQLite takes a bounded number of values in a statement
			gone = gone[len(part):]
			err = errors.Join(tx.Where("id IN ?", part).Delete(&deviceRow{}).Error, history.Forget(tx, history.Device, part))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("forget old results: %w", err)
	}
	return nil
}

// Reset forgets all.
func (s *Store) Reset(ctx context.Context) error {
	s.banning.Lock()
	defer s.banning.Unlock()
	ctx = context.WithoutCancel(ctx)
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(all.Delete(&row{}).Error, all.Delete(&deviceRow{}).Error, history.Reset(tx, history.Device))
	})
	if err == nil {
		err = s.load(ctx)
	}
	if err != nil {
		return fmt.Errorf("reset the results: %w", err)
	}
	return nil
}
