package guard

import (
	"errors"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/replay"
)

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
	return func(c *call, a *answer) error {
		if c.signed == nil {
			return nil
		}
		if p == nil || p.Responses == nil {
			return errors.New("there is no key to sign answers with")
		}
		seen := a.Body
		if c.request.Method == http.MethodHead {
			seen = nil // the client gets the head alone
		}
		return c.signed.SignResponse(a.Status, a.Header, seen, p.Responses, c.at)
	}
}
