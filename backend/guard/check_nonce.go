package guard

import (
	"errors"
	"net/http"
	"time"

	"keyladder/internal/problem"
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

// nonceIsNew refuses a signed request that was here before, byte by byte. It comes after the
// verification of the MAC, because only then it is the app's own nonces that are asked for,
// and before the app's limit, because a call that somebody sends once more is not the app's.
//
//keyladder:code guard-nonce
func nonceIsNew(nonces *replay.Cache) func(*call) *Refusal {
	return withNonce(nonces.Seen)
}

// keepNonce remembers the request, unless it came in since it was looked for. All apps share
// the memory, and it may get full, so it comes after the limit of each: an app whose
// secret leaked fills no more of it than its limit lets through.
//
//keyladder:code guard-nonce-kept
func keepNonce(nonces *replay.Cache) func(*call) *Refusal {
	return withNonce(nonces.Add)
}

func withNonce(ask func(now time.Time, id string, signedFor int64, nonce string) error) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.received == nil {
			return refuse(closed(), "there is no MAC that would cover the nonce")
		}
		return nonceRefusal(ask(c.at, c.received.ID, c.received.Time.Unix(), c.received.Nonce))
	}
}

func nonceRefusal(err error) *Refusal {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replay.ErrFull), errors.Is(err, replay.ErrUnmarked):
		return refuse(problem.New(http.StatusServiceUnavailable, "try-later", "Too many calls at the moment", "Try again a bit later.").
			With("Retry-After", "5"), "%v", err)
	default:
		_, challenge := hawk.Refusal(hawk.ErrNonce)
		return refuse(notAccepted("Sign each request anew: this one was here before.", challenge), "%v", err)
	}
}
