package guard

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// Attested says which client integrity tokens are good. The zero value accepts none.
type Attested struct {
	Issuer   func(stage string) string // the URL of a stage's attestation service, which iss has to be
	Audience func(stage string) string // this API, which has to be in aud
	Leeway   time.Duration             // how far the attestation service's clock may be ahead
	// Attester is the public key of that name with which it signs client attestations. Nil: none.
	Attester func(keyID string) (jwk.Key, bool)
}

// lookUpServers finds a key whose secret the attestation service shares with this server. Where a
// stage has such a service, it has an authorization server, which owns the keys.
func (c Config) lookUpServers(_ *catalog.Stage, id string) (*clients.App, *clients.Key, error) {
	if c.Issued.Clients == nil {
		return nil, nil, clients.ErrUnknown
	}
	return c.Issued.Clients.LookupServers(id)
}

// integrityToken finds the app whose client integrity token was sent: an attestation service says
// that it is the genuine one. The token is signed with one of the client's secrets that servers
// share and apps do not have, and the client can be told from the key that it names.
//
// The content of a token is remembered until it expires, because verifying it takes longer than all
// other checks together. Facts that can change meanwhile are looked at with each call: whether the key
// and its client are good, and the secret still one of the key's.
//
//keyladder:code guard-integrity
func integrityToken(good *integrityTokens, find lookup) func(*call) *Refusal {
	return func(c *call) *Refusal {
		text, err := integrity.From(c.request.Header)
		switch {
		case errors.Is(err, integrity.ErrMissing):
			return refuse(notAttested, "%v", err)
		case err != nil:
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The client integrity token can't be read",
				"Send exactly one, in one field: `"+integrity.Field+": …`."), "%v", err)
		}
		var app *clients.App
		claims, err := good.verify(c.stage, text, c.at, func(id string) (string, []clients.Secret) {
			found, key, err := find(c.stage, id)
			c.key = key // so that a refusal is noted with it
			if err != nil {
				return "", nil
			}
			app = found
			overlap, _ := c.policies.API.SecretOverlap.Value()
			return app.ID, key.Secrets(c.at, overlap)
		})
		if err != nil {
			return refuse(notAttested, "the client integrity token: %v", err)
		}
		c.claimed, c.attested = app, claims
		return nil
	}
}

// notAttested is the same whatever is wrong: an app whose attestation failed learns no more than
// one that sends nothing.
var notAttested = problem.New(http.StatusUnauthorized, "integrity-not-accepted", "This is for genuine apps only",
	"Get a client integrity token from the attestation service, and send it in the field `"+integrity.Field+": …`.").
	With("WWW-Authenticate", integrity.Field)

// rememberedIntegrity is how many client integrity tokens are remembered: those of as many
// installations, as each gets one a minute. One takes some 500 bytes.
const rememberedIntegrity = 50_000

// integrityTokens are the client integrity tokens that were verified, by their hash.
type integrityTokens struct {
	config Attested
	seen   *lru.Cache[[sha256.Size]byte, *verifiedIntegrity]
}

type verifiedIntegrity struct {
	integrity.Claims
	stage string
	key   token.Key    // that has signed it
	calls atomic.Int64 // for which it was good
}

func newIntegrityTokens(config Attested) *integrityTokens {
	seen, _ := lru.New[[sha256.Size]byte, *verifiedIntegrity](rememberedIntegrity) // an error is for a size below 1
	return &integrityTokens{config: config, seen: seen}
}

// verify tells what a token says, if it is good at a stage and that time. Key is whose a key is,
// and its secrets.
func (t *integrityTokens) verify(stage *catalog.Stage, text string, at time.Time, key func(id string) (client string, secrets []clients.Secret)) (*integrity.Claims, error) {
	if t.config.Issuer == nil || t.config.Audience == nil {
		return nil, token.ErrIssuer
	}
	hash := sha256.Sum256([]byte(text))
	if found, ok := t.seen.Get(hash); ok && found.stage == stage.Slug {
		if err := found.stillGood(at, t.config.Leeway, key); err != nil {
			return nil, err
		}
		found.calls.Add(1)
		return &found.Claims, nil
	}
	claims, by, err := integrity.Verifier{
		Issuer: t.config.Issuer(stage.Slug), Audience: t.config.Audience(stage.Slug), Leeway: t.config.Leeway,
		Key: func(id string) (string, []token.Secret) {
			client, secrets := key(id)
			texts := make([]token.Secret, len(secrets))
			for i, s := range secrets {
				texts[i] = token.Secret(s.Text())
			}
			return client, texts
		},
	}.VerifyKey(text, at)
	if err != nil {
		return nil, err
	}
	verified := &verifiedIntegrity{Claims: claims, stage: stage.Slug, key: by}
	verified.calls.Add(1)
	t.seen.Add(hash, verified)
	return &verified.Claims, nil
}

// IntegrityCalls is for how many calls at a stage client integrity tokens were good, by their IDs. It
// is about those that are remembered.
func (g *Guard) IntegrityCalls(stage string) map[string]int64 {
	calls := map[string]int64{}
	for _, token := range g.memories.integrity.seen.Values() {
		if token.stage == stage {
			calls[token.ID] = token.calls.Load()
		}
	}
	return calls
}

// stillGood looks at what can have changed since a token was verified.
func (v *verifiedIntegrity) stillGood(at time.Time, leeway time.Duration, key func(id string) (string, []clients.Secret)) error {
	client, secrets := key(v.key.ID)
	switch {
	case client != v.ClientID || !slices.ContainsFunc(secrets, func(s clients.Secret) bool { return s.Text() == string(v.key.Secret) }):
		return token.ErrKey
	case !at.Before(v.Expires):
		return token.ErrExpired
	case v.Issued.After(at.Add(leeway)): // the clock was set back
		return token.ErrNotYet
	}
	return nil
}

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
