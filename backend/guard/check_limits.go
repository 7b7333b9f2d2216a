package guard

import (
	"net/http"
	"sync/atomic"
	"time"

	"keyladder/internal/problem"
)

// limitAddress limits the calls from one address. It comes first, before everything that
// could be asked again and again: refusals count as well, whatever they are for.
//
//keyladder:code guard-address-limit
func limitAddress(limits *addressLimits) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if !c.address.IsValid() {
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "It can't be told from where the call comes", ""),
				"no client address; behind a terminator it is the one value of X-Forwarded-For")
		}
		return take(c, c.at, limits.of(c.address, c.at), &limits.announced)
	}
}

// limitApp limits the calls of one app. It comes after the proof: nobody else can use
// up what belongs to the app.
//
//keyladder:code guard-app-limit
func limitApp(now func() time.Time) func(*call) *Refusal {
	var latest atomic.Pointer[announced] // mostly it is the same app's, or another's of the same size
	return func(c *call) *Refusal {
		limit := latest.Load()
		if its := (Limit{PerSecond: c.app.PerSecond, Burst: c.app.Burst}); limit == nil || limit.Limit != its {
			made := announce("app", its)
			limit = &made
			latest.Store(limit)
		}
		return take(c, now(), c.app.Limiter, limit)
	}
}
