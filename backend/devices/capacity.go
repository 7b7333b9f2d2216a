package devices

import "slices"

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
