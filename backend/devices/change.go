package devices

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Ban refuses a device's calls from now on.
func (r *Registry) Ban(ctx context.Context, at time.Time, id string) (manage.Device, error) {
	at = at.UTC()
	return r.markOne(ctx, id, &at)
}

// Allow accepts a device's calls again.
func (r *Registry) Allow(ctx context.Context, id string) (manage.Device, error) {
	return r.markOne(ctx, id, nil)
}

// BanSelected refuses the calls of the devices that are selected, and says how many of them were
// served until now.
func (r *Registry) BanSelected(ctx context.Context, at time.Time, s manage.DeviceSelection) (int, error) {
	at = at.UTC()
	return r.mark(ctx, s, &at)
}

// AllowSelected accepts the calls of the devices that are selected again, and says how many of
// them were banned.
func (r *Registry) AllowSelected(ctx context.Context, s manage.DeviceSelection) (int, error) {
	return r.mark(ctx, s, nil)
}

func (r *Registry) markOne(ctx context.Context, id string, bannedAt *time.Time) (manage.Device, error) {
	if _, err := r.mark(ctx, manage.DeviceSelection{IDs: []string{id}}, bannedAt); err != nil {
		return manage.Device{}, err
	}
	found := r.named([]string{id})
	if len(found) == 0 {
		return manage.Device{}, ErrNoDevice
	}
	return found[0].manage(), nil
}

func (r *Registry) mark(ctx context.Context, s manage.DeviceSelection, bannedAt *time.Time) (int, error) {
	return r.change(ctx, s, "ban or allow devices",
		func(d *Device) bool { return (d.bannedAt == nil) != (bannedAt == nil) }, // else it is so already, and since then
		func(rows *gorm.DB) error { return rows.Update("banned_at", bannedAt).Error },
		func(d *Device) { d.bannedAt = bannedAt })
}

// MarkWorkshop marks the devices with these identifiers at a stage as the workshop's.
func (r *Registry) MarkWorkshop(ctx context.Context, stage string, identifiers []string) (int, error) {
	var ids []string
	r.mu.RLock()
	for _, identifier := range identifiers {
		if d := r.byName[name{stage, identifier}]; d != nil {
			ids = append(ids, d.ID)
		}
	}
	r.mu.RUnlock()
	if len(ids) == 0 {
		return 0, nil
	}
	return r.change(ctx, manage.DeviceSelection{IDs: ids}, "mark devices as the workshop's",
		func(d *Device) bool { return !d.workshop },
		func(rows *gorm.DB) error { return rows.Update("workshop", true).Error },
		func(d *Device) { d.workshop = true })
}

// change changes those of the selected devices that have to be, in the database and then in
// memory, and says how many those were.
func (r *Registry) change(ctx context.Context, s manage.DeviceSelection, what string, due func(*Device) bool, write func(rows *gorm.DB) error, apply func(*Device)) (int, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	chosen, err := r.selected(ctx, s)
	if err != nil {
		return 0, err
	}
	chosen = slices.DeleteFunc(chosen, func(d *Device) bool { return !due(d) })
	err = inBatches(r.db.WithContext(context.WithoutCancel(ctx)), chosen, write)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range chosen {
		changed := *d
		apply(&changed)
		r.put(&changed)
	}
	return len(chosen), nil
}

// Remove forgets the devices that are selected and says how many those were. Their GUIDs are
// void, and their identifiers can be registered again. The ban on a device ends with it, so
// banned ones have to be named, or selected by their state.
func (r *Registry) Remove(ctx context.Context, s manage.DeviceSelection) (int, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	s.State = cmp.Or(s.State, "served")
	gone, err := r.selected(ctx, s)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	err = inBatches(r.db.WithContext(context.WithoutCancel(ctx)), gone, func(rows *gorm.DB) error { return rows.Delete(&row{}).Error })
	if err != nil {
		return 0, fmt.Errorf("remove devices: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(gone)
	return len(gone), nil
}

// named are the devices with these IDs that there are, each once.
func (r *Registry) named(ids []string) (found []*Device) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if d := r.byID[id]; d != nil {
			found = append(found, d)
		}
	}
	return found
}

// inBatches does something with the rows of many devices in one transaction: SQLite takes a
// bounded number of values in a statement.
func inBatches(db *gorm.DB, devices []*Device, do func(rows *gorm.DB) error) error {
	if len(devices) == 0 {
		return nil
	}
	return db.Transaction(func(tx *gorm.DB) error {
		for batch := range slices.Chunk(devices, 500) {
			ids := make([]string, len(batch))
			for i, d := range batch {
				ids[i] = d.ID
			}
			if err := do(tx.Model(&row{}).Where("id IN ?", ids)); err != nil {
				return err
			}
		}
		return nil
	})
}
