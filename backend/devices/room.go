package devices

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// MostOfApp is how many devices of one app can be registered at one stage. It bounds the memory
// that somebody with an app's secret can take, and keeps others out of it. When it is reached,
// those make room that were never used, the oldest first: an app calls as soon as it has its
// GUID, so it would take as many registrations within that moment to drive a genuine one out.
const MostOfApp = 10_000

// roomAtOnce is a hundredth: it takes a look at all of an app's devices to find the oldest.
const roomAtOnce = MostOfApp / 100

// room finds devices of an app that can go, the oldest ones.
func (r *Registry) room(of owner) []*Device {
	unused := r.find(func(d *Device) bool { return d.owner() == of && d.unused() })
	slices.SortFunc(unused, func(a, b *Device) int { return a.registeredAt.Compare(b.registeredAt) })
	return unused[:min(len(unused), max(1, min(roomAtOnce, r.most/100)))]
}

func (r *Registry) find(wanted func(*Device) bool) []*Device {
	return slices.DeleteFunc(r.all(), func(d *Device) bool { return !wanted(d) })
}

// Remove forgets the devices that are selected and says how many those were. Their GUIDs are
// void, and their identifiers can be registered again. The ban on a device ends with it, so
// those that are banned have to be named.
func (r *Registry) Remove(ctx context.Context, s manage.DeviceSelection) (int, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	var gone []*Device
	if len(s.IDs) > 0 {
		gone = r.named(s.IDs)
	} else {
		gone = r.find(func(d *Device) bool { return selected(s, d) })
	}
	if len(gone) == 0 {
		return 0, nil
	}
	err := r.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error { return deleteRows(tx, gone) })
	if err != nil {
		return 0, fmt.Errorf("remove devices: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(gone)
	return len(gone), nil
}

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

func selected(s manage.DeviceSelection, d *Device) bool {
	return d.bannedAt == nil &&
		(s.Stage == "" || d.Stage == s.Stage) &&
		(s.App == "" || d.App == s.App) &&
		(!s.NeverUsed || d.unused()) &&
		(s.UnseenSince == nil || d.lastSign().Before(*s.UnseenSince))
}

func deleteRows(tx *gorm.DB, gone []*Device) error {
	for batch := range slices.Chunk(gone, 500) {
		ids := make([]string, len(batch))
		for i, d := range batch {
			ids[i] = d.ID
		}
		if err := tx.Where("id IN ?", ids).Delete(&row{}).Error; err != nil {
			return err
		}
	}
	return nil
}
