package protect

import (
	"net/http"
	"slices"
	"strings"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/integrity"
)

// integrityTokens say that an attestation service has found the app to be the genuine one. They
// prove nothing about the call that they come with.
var integrityTokens = mechanism{
	serves: []any{catalog.IntegrityToken},
	prepare: func(c *Caller) (part, error) {
		if c.policy.AppProof != catalog.IntegrityToken {
			return nothing()
		}
		return part{prove: func(r *Request, call Call) (answerCheck, error) {
			switch {
			case call.Client && c.policy.ClientAuth == catalog.ByAttestation:
				if c.identity.Attestation != "" {
					clientattestation.Set(r.Header, c.identity.Attestation)
				}
			case !c.stolenProof(r.Header) && c.identity.Integrity != "":
				integrity.Set(r.Header, c.identity.Integrity)
			}
			return nil, nil
		}}, nil
	},
}

// IntegrityRefused says whether the client integrity token that was sent, if any, is not accepted, or
// the client attestation in its place. Every server says so in the same way, and does not say why.
func (a Answer) IntegrityRefused() bool {
	return a.Status == http.StatusUnauthorized && slices.ContainsFunc(a.Header.Values("WWW-Authenticate"), func(challenge string) bool {
		scheme, _, _ := strings.Cut(challenge, " ")
		return strings.EqualFold(scheme, integrity.Field) || strings.EqualFold(scheme, clientattestation.Field)
	})
}
