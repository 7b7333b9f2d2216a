package exposure

import (
	"slices"
	"time"

	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/httpsig"
)

// lifetimes are those with which something that can be stolen ends by itself, shortest first.
func lifetimes() []time.Duration {
	settings := deployment.DefaultSettings
	all := []time.Duration{
		httpsig.Lifetime, hawk.DefaultSkew, guard.ProofSkew,
		settings.CodeLifetime, settings.IntegrityLifetime, settings.ShortLifetime, settings.TokenLifetime,
		settings.SessionLifetime, settings.RefreshLifetime,
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// idleParts is into how many parts a lifetime is cut by the time for which something may lie idle. With
// a quarter of a lifetime a thief has to call less often to keep it in use than with what a deployment
// has, and so has a measurement.
const idleParts = 4

// settings are those of the labs: the lifetimes of a new deployment, and other times of being idle.
func settings() map[string]string {
	d := deployment.DefaultSettings
	return map[string]string{
		"session_idle": (d.SessionLifetime / idleParts).String(),
		"refresh_idle": (d.RefreshLifetime / idleParts).String(),
	}
}

// schedule is when calls are made, counted from the theft: well before the end of each lifetime and well
// after, as something may have been issued some seconds before it was stolen, and in between where it
// would be idle for too long.
func schedule() []time.Duration {
	var at []time.Duration
	for _, life := range lifetimes() {
		at = append(at, life*3/4, life*11/10)
	}
	d := deployment.DefaultSettings
	for _, life := range []time.Duration{d.SessionLifetime, d.RefreshLifetime} {
		for part := range idleParts + 1 {
			at = append(at, life/idleParts*time.Duration(part)*9/10)
		}
	}
	slices.Sort(at)
	return slices.DeleteFunc(slices.Compact(at), func(d time.Duration) bool { return d == 0 })
}

// endedBy is the lifetime that ended between two times of the schedule; 0: none did.
func endedBy(after, until time.Duration) time.Duration {
	for _, life := range lifetimes() {
		if after < life && life <= until {
			return life
		}
	}
	return 0
}
