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

// nonce refuses a signed request that was here before, byte by byte.
// [catalog.NoncesForgotten] switches it off: within the time window a request is as good
// the second time. It comes after the verification of the code, because only then it is
// the app's own nonces that fill the memory.
//
//keyladder:code guard-nonce
func (g *Guard) nonce(c *call) *Refusal {
	signed := c.policy.AppProof == catalog.Hawk
	switch c.policy.Nonces {
	case catalog.NoNonces:
		if signed {
			return contradictory("requests are signed, but nothing is said about their nonces")
		}
		return nil
	case catalog.NoncesForgotten:
		return nil
	case catalog.NoncesRemembered:
		if !signed {
			return c.unproven("nonces are remembered, but requests carry none")
		}
		if c.received == nil {
			return contradictory("there is no code that would cover the nonce")
		}
	default:
		return undecided("nonces", c.policy.Nonces)
	}
	err := g.nonces.Add(c.at, c.received.ID, c.received.Time.Unix(), c.received.Nonce)
	switch {
	case errors.Is(err, replay.ErrFull):
		return refuse(problem.New(http.StatusServiceUnavailable, "try-later", "Too many calls at the moment", "Try again a bit later.").
			With("Retry-After", "5"), "%v", err)
	case err != nil:
		_, challenge := hawk.Refusal(hawk.ErrNonce)
		return refuse(notAccepted("Sign each request anew: this one was here before.", challenge), "%v", err)
	}
	return nil
}
