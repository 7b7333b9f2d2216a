package guard

import (
	"errors"
	"net/http"
	"time"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
)

// hawk verifies the code over the request: who made it, that nothing was changed, and
// that it was made just now. Whether it was sent before is the next check's question.
// Other app proofs switch it off.
//
// From here on the answer is authenticated as well, whatever it is: see hold.
//
//keyladder:code guard-hawk
func (g *Guard) hawk(c *call) *Refusal {
	switch c.policy.Call.AppProof {
	case catalog.NoAppProof, catalog.AppKey, partnerProof:
		return nil
	case catalog.Hawk:
	default:
		return undecided("app_proof", c.policy.Call.AppProof)
	}
	var app *clients.App
	var key *clients.Key
	verifier := hawk.Verifier{
		Host: g.Host, Port: g.Port, // from the settings: the Host field says what the client wants it to say
		Field: c.policy.Call.AppProofField(),
		Lookup: func(id string) (secret string, err error) {
			if app, key, err = g.Apps.Lookup(id); err != nil {
				return "", err
			}
			return key.Secret().Text(), nil
		},
	}
	received, err := verifier.Verify(c.request, c.raw, c.at)
	c.key = key // so that a refusal is noted with it
	if err != nil {
		return hawkRefusal(err)
	}
	if c.policy.Call.Nonces == catalog.NoncesRemembered && received.Time.Before(g.since) {
		return g.beforeMemory(c.at, received)
	}
	c.claimed, c.received = app, received
	return nil
}

// beforeMemory refuses a good request that was signed before nonces were remembered. It
// may be one that a server before this one has served. The client is told the time, as
// with every stale request, and can sign anew.
func (g *Guard) beforeMemory(at time.Time, received *hawk.Received) *Refusal {
	if at.Before(g.since) {
		at = g.since // the first moment that is accepted: less than a second away, if no clock was fast
	}
	refusal := hawkRefusal(received.Stale(at))
	refusal.Reason = "the request was signed before this server's memory of nonces begins"
	return refusal
}

func hawkRefusal(err error) *Refusal {
	status, challenge := hawk.Refusal(err)
	switch {
	case status == http.StatusUnauthorized:
		return refuse(notAccepted("Sign the request with the app's secret, for this server and for now.", challenge), "%v", err)
	case errors.Is(err, hawk.ErrMalformed):
		return refuse(problem.New(http.StatusBadRequest, "bad-request", "The signature can't be read",
			"Send one field with id, ts, nonce and mac, each once."), "%v", err)
	default:
		return refuse(closed(), "%v", err)
	}
}

// unproven lets a call through that a check can't look at because the policy demands no
// app proof at all. With any other proof the policy contradicts itself.
func (c *call) unproven(contradiction string) *Refusal {
	if c.policy.Call.AppProof == catalog.NoAppProof {
		return nil
	}
	return contradictory(contradiction)
}

// contradictory refuses a policy whose parts do not go together.
func contradictory(how string) *Refusal {
	return refuse(closed(), "the policy contradicts itself: %s", how)
}
