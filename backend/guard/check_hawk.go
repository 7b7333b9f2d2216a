package guard

import (
	"errors"
	"net/http"
	"time"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// signature verifies the MAC over the request: who made it, that nothing was changed, and
// that it was made just now. Whether it was sent before is the next check's question. The
// verifier is for the host and port of the settings: the Host field says what the client
// wants it to say.
//
// From here on the answer is authenticated as well, whatever it is: see [signAnswer].
//
//keyladder:code guard-hawk
func signature(verifier hawk.Verifier, find lookup, since time.Time) func(*call) *Refusal {
	return func(c *call) *Refusal {
		app, received, err := verifyWithAnySecret(c, verifier, find)
		if err != nil {
			return hawkRefusal(err)
		}
		if c.policies.Call.Nonces == catalog.NoncesRemembered && received.Time.Before(since) {
			return beforeMemory(c.at, since, received)
		}
		c.claimed, c.received = app, received
		return nil
	}
}

// lookup finds a key of a stage, and the app that it is one of.
type lookup func(stage *catalog.Stage, id string) (*clients.App, *clients.Key, error)

// verifyWithAnySecret tries the secrets that the key has: the one in force, and those that it
// replaced a while ago, for as long as the policy says.
func verifyWithAnySecret(c *call, v hawk.Verifier, find lookup) (app *clients.App, received *hawk.Received, err error) {
	var secrets []clients.Secret
	v.Field = c.policies.Call.AppProofField()
	v.Lookup = func(id string) (string, error) {
		if app == nil {
			found, key, err := find(c.stage, id)
			c.key = key // so that a refusal is noted with it
			if err != nil {
				return "", err
			}
			overlap, _ := c.policies.API.SecretOverlap.Value()
			app, secrets = found, key.Secrets(c.at, overlap)
		}
		c.secret, secrets = &secrets[0], secrets[1:]
		return c.secret.Text(), nil
	}
	received, err = v.Verify(c.request, c.raw, c.at)
	for errors.Is(err, hawk.ErrMAC) && len(secrets) > 0 {
		received, err = v.Verify(c.request, c.raw, c.at)
	}
	return app, received, err
}

// signAnswer authenticates the answer, if the request was signed, and signed well. Where
// nothing was verified, there is nobody for whom it could be signed.
func signAnswer(c *call, a *answer) error {
	if c.received == nil {
		return nil
	}
	seen := a.Body
	if c.request.Method == http.MethodHead {
		seen = nil // the client gets the head alone
	}
	return c.received.SignResponse(a.Header, seen, "")
}

// beforeMemory refuses a good request that was signed before nonces were remembered. It
// may be one that a server before this one has served. The client is told the time, as
// with every stale request, and can sign anew.
func beforeMemory(at, since time.Time, received *hawk.Received) *Refusal {
	if at.Before(since) {
		at = since // the first moment that is accepted: less than a second away, if no clock was fast
	}
	refusal := hawkRefusal(received.Stale(at))
	refusal.Reason = "the request was signed before this server's memory of nonces begins"
	return refusal
}

func hawkRefusal(err error) *Refusal {
	status, challenge := hawk.Refusal(err)
	switch {
	case status == http.StatusUnauthorized:
		return refuse(notAccepted("The key is unknown or revoked, or the request is not signed with its secret, for this server and for now.", challenge), "%v", err)
	case errors.Is(err, hawk.ErrMalformed):
		return refuse(problem.New(http.StatusBadRequest, "bad-request", "The signature can't be read",
			"Send one field with id, ts, nonce and mac, each once."), "%v", err)
	default:
		return refuse(closed(), "%v", err)
	}
}

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
