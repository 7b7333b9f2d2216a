package clients

import "time"

// At sets the registry's clock.
func (r *Registry) At(now time.Time) { r.now = func() time.Time { return now } }
