package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// addressLimit limits the calls from one address: it comes before every check that
// could be asked again and again, such as that of a key.
// [catalog.UnlimitedRates] switches both limits off.
//
//keyladder:code guard-address-limit
func (g *Guard) addressLimit(c *call) *Refusal {
	switch c.policy.API.RateLimits {
	case catalog.UnlimitedRates:
		return nil
	case catalog.LimitedRates:
	default:
		return undecided("rate_limits", c.policy.API.RateLimits)
	}
	if !c.address.IsValid() {
		return refuse(problem.New(http.StatusBadRequest, "bad-request", "It can't be told from where the call comes", ""),
			"no client address; behind a terminator it is the one value of X-Forwarded-For")
	}
	return g.take(c, "address", g.addresses.of(c.address, c.at), g.addresses.limit)
}

// appLimit limits the calls of one app. It comes after the proof: nobody else can use
// up what belongs to the app.
//
//keyladder:code guard-app-limit
func (g *Guard) appLimit(c *call) *Refusal {
	switch c.policy.API.RateLimits {
	case catalog.UnlimitedRates:
		return nil
	case catalog.LimitedRates:
	default:
		return undecided("rate_limits", c.policy.API.RateLimits)
	}
	if c.app == nil {
		return nil // the stage demands no app proof
	}
	return g.take(c, "app", c.app.Limiter, Limit{PerSecond: c.app.PerSecond, Burst: c.app.Burst})
}
