package protect

import (
	"net/http"
	"slices"
	"strings"

	"keyladder/stages/catalog"
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
		return part{prove: func(r *Request, _ Call) (answerCheck, error) {
			if !c.stolenProof(r.Header) && c.identity.Integrity != "" {
				integrity.Set(r.Header, c.identity.Integrity)
			}
			return nil, nil
		}}, nil
	},
}

// IntegrityRefused says whether the client integrity token that was sent, if any, is not accepted.
// Every server says so in the same way, and does not say why.
func (a Answer) IntegrityRefused() bool {
	return a.Status == http.StatusUnauthorized && slices.ContainsFunc(a.Header.Values("WWW-Authenticate"), func(challenge string) bool {
		scheme, _, _ := strings.Cut(challenge, " ")
		return strings.EqualFold(scheme, integrity.Field)
	})
}
