package protect

import (
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
