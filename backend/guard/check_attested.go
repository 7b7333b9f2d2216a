package guard

import (
	"errors"
	"net/http"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/integrity"
)

// ChallengePurpose is what challenges for proofs of client attestations are made for, beside the name of
// their stage.
const ChallengePurpose = clientattestation.ChallengeField

// clientAttested checks the attestation of a client at an endpoint of OAuth, which takes the place of a
// client secret there (draft-ietf-oauth-attestation-based-client-auth-12): whom the attestation service
// has looked at, and that the client has the key which it names, by a proof in a field of its own or by
// the DPoP proof that comes along. Whether the client is the one that the request is about is for the
// handler to say, which reads the form.
//
// A key that servers share of the client's stands for the attestation service's trust in it here, too:
// where that is revoked, no attestation of the client is good.
//
//keyladder:code guard-client-attestation
func clientAttested(a Attested, p *Proofs, find func(client string) (*clients.App, *clients.Key, error)) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if p == nil || a.Audience == nil {
			return refuse(closed(), "there is nothing to look at client attestations with")
		}
		text, err := clientattestation.From(c.request.Header)
		pop, popErr := clientattestation.PoPFrom(c.request.Header)
		combined := errors.Is(popErr, clientattestation.ErrNoPoP)
		switch {
		case errors.Is(err, clientattestation.ErrMissing):
			return refuse(notAttestedClient, "%v", err)
		case err != nil, popErr != nil && !combined:
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The client attestation can't be read",
				"Send each once: `"+clientattestation.Field+"`, and `"+clientattestation.PoPField+"` or `"+dpop.Field+"`."), "%v", errors.Join(err, popErr))
		}
		claims, err := clientattestation.Verifier{Attester: a.Attester, Leeway: a.Leeway}.Verify(text, c.at)
		if err != nil {
			return refuse(attestationRefused("Get one from the attestation service."), "the client attestation: %v", err)
		}
		app, key, err := find(claims.ClientID)
		c.key = key
		if err != nil {
			return refuse(attestationRefused("Get one from the attestation service."), "the client attestation is about %.80q: %v", claims.ClientID, err)
		}
		if combined && len(c.request.Header.Values(dpop.Field)) == 0 {
			return refuse(attestationRefused("Prove that you have its key, in `"+clientattestation.PoPField+"` or `"+dpop.Field+"`."), "%v", popErr)
		}
		c.claimed = app
		c.attested = &integrity.Claims{ClientID: claims.ClientID, Device: claims.Device, Release: claims.Release, Key: claims.Key}
		if combined {
			return nil
		}
		return c.possession(a, p, pop, claims)
	}
}

// possession looks at the proof that comes with a client attestation.
func (c *call) possession(a Attested, p *Proofs, text string, claims clientattestation.Claims) *Refusal {
	newest := true
	verifier := clientattestation.PoPVerifier{Audience: a.Audience(c.stage.Slug), Skew: ProofSkew, Challenge: func(text string) (err error) {
		newest, err = p.Nonces.Check(text, c.at, ChallengePurpose, c.stage.Slug)
		return err
	}}
	made, err := verifier.Verify(text, claims.Key, c.at)
	challenge := p.Nonces.At(c.at, ChallengePurpose, c.stage.Slug)
	switch {
	case errors.Is(err, clientattestation.ErrChallenge):
		return refuse(problem.New(http.StatusBadRequest, "use-attestation-challenge", "The proof has no challenge of this server",
			"Make the proof with the challenge in `"+clientattestation.ChallengeField+"`, and send the request again.").
			With(clientattestation.ChallengeField, challenge).With("Cache-Control", "no-store"), "%v", err)
	case err != nil:
		return refuse(attestationRefused("Make a proof for each request, for this server and for now, with the key of the client attestation."),
			"the proof of possession: %v", err)
	}
	if !newest {
		c.echo.Response().Header().Set(clientattestation.ChallengeField, challenge)
	}
	c.pop = true
	c.proven(claims.Key, proof{popKind, made.ID, made.Issued})
	return nil
}

// attestedClient is a client that attestations are good for.
func (c Config) attestedClient(client string) (*clients.App, *clients.Key, error) {
	if c.Issued.Clients == nil {
		return nil, nil, clients.ErrUnknown
	}
	key := c.Issued.Clients.ServersKey(client)
	if key == nil {
		return nil, nil, clients.ErrUnknown
	}
	return c.Issued.Clients.LookupServers(key.ID)
}

// notAttestedClient is what is said where there is no client attestation at all.
var notAttestedClient = problem.New(http.StatusUnauthorized, "client-not-accepted", "This is for genuine apps only",
	"Get a client attestation from the attestation service, and send it in the field `"+clientattestation.Field+": …`.").
	With("WWW-Authenticate", clientattestation.Field)

// attestationRefused is the same whatever is wrong with an attestation.
func attestationRefused(detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "client-attestation-not-accepted", "The client attestation, or its proof, is not good", detail).
		With("WWW-Authenticate", clientattestation.Field)
}
