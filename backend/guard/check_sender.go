package guard

import (
	"errors"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/replay"
	"keyladder/stages/mechanism/token"
)

// dpopProof checks that a proof of possession came along (RFC 9449, section 4.3), which was made for
// this call and its access token, with a nonce of this server, by the holder of the key that the
// client integrity token is bound to. Whether the access token is bound to the same key is the question
// of the binding, and whether the proof is here for the first time is that of the memory.
//
//keyladder:code guard-dpop
func dpopProof(p *Proofs, known *dpop.Known, origin string) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if p == nil {
			return refuse(closed(), "there is nothing to look at proofs with")
		}
		text, err := dpop.From(c.request.Header)
		if errors.Is(err, dpop.ErrMissing) && c.pop && !c.plan.route.Issues {
			return nil // it has proven the same
		}
		if err != nil {
			return refuse(c.proofRefused(p, "Send one proof, in one field: `"+dpop.Field+": …`."), "%v", err)
		}
		_, access, err := token.Shown(c.request.Header)
		if err != nil && !errors.Is(err, token.ErrMissing) {
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The access token can't be read",
				"Send exactly one, in one field: `Authorization: "+token.BoundScheme+" …`.").
				With("WWW-Authenticate", c.challenge("invalid_request")), "%v", err)
		}
		newest := true
		verifier := dpop.Verifier{Skew: ProofSkew, Known: known, Nonce: func(text string) (err error) {
			newest, err = p.Nonces.Check(text, c.at, dpop.Field, c.stage.Slug)
			return err
		}}
		made, err := verifier.Verify(text, dpop.Request{Method: c.request.Method, URL: c.url(origin), Token: access}, c.at)
		switch {
		case errors.Is(err, dpop.ErrNonce):
			return refuse(c.withNonce(p, problem.New(http.StatusUnauthorized, "use-dpop-nonce", "The proof has no nonce of this server",
				"Make the proof with the nonce in `"+dpop.NonceField+"`, and send the request again.").
				With("WWW-Authenticate", c.challenge(dpop.UseNonce))), "%v", err)
		case err != nil:
			return refuse(c.proofRefused(p, "Make a proof for each request, for its method, its URL and its access token, and for now."), "the DPoP proof: %v", err)
		case c.attested != nil && c.attested.Key == jwk.Key{}:
			return refuse(notAttested, "the client integrity token is bound to no key")
		case c.attested != nil && c.attested.Key != made.Key && attestedEndpoint(c.plan.route.Route) && c.policies.Call.ClientAuth == catalog.ByAttestation:
			return refuse(attestationRefused("Sign the DPoP proof with the key that the client attestation is bound to."),
				"the DPoP proof is signed with another key than the one that the client attestation is bound to")
		case c.attested != nil && c.attested.Key != made.Key:
			return refuse(c.proofRefused(p, "Sign it with the key that the client integrity token is bound to."),
				"the proof is signed with another key than the one that the client integrity token is bound to")
		}
		if !newest {
			c.giveNonce(p, c.echo.Response().Header())
		}
		c.proven(made.Key, proof{dpopKind, made.ID, made.Issued})
		return nil
	}
}

// knownHeaders is of how many clients the header of their proofs is remembered.
const knownHeaders = 10_000

// proofRefused is the problem of a proof that is not good. The sender knows as well as we do what
// exactly is wrong with it.
func (c *call) proofRefused(p *Proofs, detail string) *problem.Problem {
	return c.withNonce(p, problem.New(http.StatusUnauthorized, "invalid-dpop-proof", "The proof of possession is not good", detail).
		With("WWW-Authenticate", c.challenge(dpop.InvalidProof)))
}

// withNonce has a refusal carry a nonce for the next try.
func (c *call) withNonce(p *Proofs, refused *problem.Problem) *problem.Problem {
	return refused.With(dpop.NonceField, p.Nonces.At(c.at, dpop.Field, c.stage.Slug)).With("Cache-Control", "no-store")
}

// giveNonce gives out the nonce that the sender is to use from now on (RFC 9449, section 8.2).
func (c *call) giveNonce(p *Proofs, header http.Header) {
	header.Set(dpop.NonceField, p.Nonces.At(c.at, dpop.Field, c.stage.Slug))
	header.Set("Cache-Control", "no-store")
}

// messageSignature checks that the call itself is signed, with what it is to do, its body and its tokens,
// just now, by the holder of the key that the client integrity token is bound to. Whether the access token
// is bound to the same key is the question of the binding, and whether the call is here for the first time
// is that of the memory.
//
// From here on the answer is signed as well, whatever it is: see [signResponse]. That holds for a call that
// was signed for another time, too, so that a phone whose clock is wrong learns the time from this server.
//
//keyladder:code guard-message-signature
func messageSignature(origin string) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.attested == nil || c.attested.Key == (jwk.Key{}) {
			return refuse(notAttested, "the client integrity token is bound to no key")
		}
		target := c.request.RequestURI
		m := httpsig.Message{Method: c.request.Method, Target: httpsig.TargetURI(origin, target), Header: c.request.Header}
		received, base, err := httpsig.VerifyRequest(m, c.raw, c.attested.Key, c.at)
		c.base, c.signed = base, received
		if err != nil {
			return refuse(c.signatureRefused(err), "the signature of the call: %v", err)
		}
		c.proven(c.attested.Key, proof{signatureKind, received.Nonce, received.Created})
		return nil
	}
}

// SignatureRefused is the type of problem of a call whose signature is not good. RFC 9421 has no error
// code for it.
const SignatureRefused = "invalid-signature"

// signatureRefused says in general terms what is wrong, and what a signature of such a call has to cover
// (RFC 9421, section 5).
func (c *call) signatureRefused(err error) *problem.Problem {
	status, advice := http.StatusUnauthorized, "Sign what is sent, as it is sent, with the key that the client integrity token is bound to."
	switch {
	case errors.Is(err, httpsig.ErrMissing):
		advice = "Sign the call itself, with the label `" + httpsig.Label + "`."
	case errors.Is(err, httpsig.ErrMalformed):
		status, advice = http.StatusBadRequest, "Send one signature with the label `"+httpsig.Label+"`, with created, expires, nonce and keyid, over components that are there, each once."
	case errors.Is(err, httpsig.ErrUncovered), errors.Is(err, httpsig.ErrAbsent):
		advice = "Sign all that `" + httpsig.FieldAccept + "` lists, and nothing that the call does not have."
	case errors.Is(err, replay.ErrSeen), errors.Is(err, replay.ErrOutside):
		advice = "Sign each call anew: this one was here before, or was signed before this server began."
	case errors.Is(err, httpsig.ErrTime), errors.Is(err, httpsig.ErrLifetime):
		advice = "Sign the call for now, and for some seconds only. The answer says when it was signed."
	}
	return problem.New(status, SignatureRefused, "The signature of the call is not good", advice).
		With("WWW-Authenticate", `Signature realm="`+realm+`"`).
		With(httpsig.FieldAccept, httpsig.Accept(c.request.Header, c.raw))
}

// signResponse signs the answer to a call that was signed well. Others get theirs as it is: there is
// nobody whom a signature would be for.
func signResponse(p *Proofs) finisher {
	var by *httpsig.Responder
	err := errors.New("there is no key to sign answers with")
	if p != nil && p.Responses != nil {
		by, err = httpsig.NewResponder(p.Responses)
	}
	return func(c *call, a *answer) error {
		if c.signed == nil {
			return nil
		}
		if err != nil {
			return err
		}
		seen := a.Body
		if c.request.Method == http.MethodHead {
			seen = nil // the client gets the head alone
		}
		return c.signed.SignResponse(a.Status, a.Header, seen, by, c.at)
	}
}
