package devices

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"keyladder/internal/manage"
)

// Query lists devices: those that registered last, or were seen last, come first.
func (r *Registry) Query(q manage.DeviceQuery) manage.DeviceList {
	found := r.find(func(d *Device) bool {
		return (q.Stage == "" || d.Stage == q.Stage) &&
			(q.App == "" || d.App == q.App) &&
			(q.Search == "" || d.ID == q.Search || strings.Contains(d.Identifier, q.Search))
	})
	times := make(map[*Device]time.Time, len(found)) // those of use change meanwhile
	for _, d := range found {
		times[d] = d.registeredAt
		if q.LastSeen {
			times[d] = d.lastSign()
		}
	}
	slices.SortFunc(found, func(a, b *Device) int {
		return cmp.Or(times[b].Compare(times[a]), cmp.Compare(a.ID, b.ID))
	})
	list := manage.DeviceList{Devices: []manage.Device{}, Total: len(found)}
	found = found[min(q.From, len(found)):]
	for _, d := range found[:min(cmp.Or(q.Limit, manage.MostListed), len(found))] {
		list.Devices = append(list.Devices, d.manage())
	}
	return list
}

// lastSign is when a device was last heard of.
func (d *Device) lastSign() time.Time {
	if at := d.seen.at.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return d.registeredAt
}
