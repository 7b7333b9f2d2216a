package guard

import (
	"errors"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// nonceRate is for how many calls a second nonces can be remembered.
const nonceRate = 5000

func (c Config) nonceLimit() int {
	if c.Nonces != 0 {
		return c.Nonces
	}
	return replay.Limit(nonceRate, hawk.DefaultSkew)
}

// nonceIsNew refuses a signed request that was here before, byte by byte.
// [catalog.NoncesForgotten] switches it off: within the time window a request is as good
// the second time. It comes after the verification of the code, because only then it is
// the app's own nonces that are asked for, and before the app's limit, because a call that
// somebody sends once more is not the app's.
func (g *Guard) nonceIsNew(c *call) *Refusal {
	if remembered, refusal := noncesRemembered(c); !remembered {
		return refusal
	}
	return nonceRefusal(g.nonces.Seen(c.at, c.received.ID, c.received.Time.Unix(), c.received.Nonce))
}

// nonce remembers the request, unless it came in since it was looked for. All apps share
// the memory, and it may get full, so it comes after the limit of each: an app whose
// secret leaked fills no more of it than its limit lets through.
//
//keyladder:code guard-nonce
func (g *Guard) nonce(c *call) *Refusal {
	if remembered, refusal := noncesRemembered(c); !remembered {
		return refusal
	}
	return nonceRefusal(g.nonces.Add(c.at, c.received.ID, c.received.Time.Unix(), c.received.Nonce))
}

// noncesRemembered says whether the call carries a nonce that has to be new.
func noncesRemembered(c *call) (bool, *Refusal) {
	signed := c.policy.Call.AppProof == catalog.Hawk
	switch c.policy.Call.Nonces {
	case catalog.NoNonces:
		if signed {
			return false, contradictory("requests are signed, but nothing is said about their nonces")
		}
		return false, nil
	case catalog.NoncesForgotten:
		return false, nil
	case catalog.NoncesRemembered:
		if !signed {
			return false, c.unproven("nonces are remembered, but requests carry none")
		}
		if c.received == nil {
			return false, contradictory("there is no code that would cover the nonce")
		}
		return true, nil
	default:
		return false, undecided("nonces", c.policy.Call.Nonces)
	}
}

func nonceRefusal(err error) *Refusal {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replay.ErrFull):
		return refuse(problem.New(http.StatusServiceUnavailable, "try-later", "Too many calls at the moment", "Try again a bit later.").
			With("Retry-After", "5"), "%v", err)
	default:
		_, challenge := hawk.Refusal(hawk.ErrNonce)
		return refuse(notAccepted("Sign each request anew: this one was here before.", challenge), "%v", err)
	}
}
