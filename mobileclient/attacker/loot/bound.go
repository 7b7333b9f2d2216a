package loot

import (
	"net/http"
	"regexp"
	"slices"

	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// Attestations finds client attestations: in requests for tokens, and in the answers of the attestation
// service. The one that was seen last comes first.
type Attestations []string

// Proofs finds DPoP proofs, in requests. Each is for one request, so none goes into an identity.
type Proofs []string

var (
	sentAttestation  = regexp.MustCompile(`(?i:oauth-client-attestation): ?(eyJ[A-Za-z0-9._-]{20,})(?:\r?\n|\\r)`)
	givenAttestation = regexp.MustCompile(`"client_attestation": ?"(eyJ[A-Za-z0-9._-]{20,})"`)
	sentProof        = regexp.MustCompile(`(?i:dpop): ?(eyJ[A-Za-z0-9._-]{20,})(?:\r?\n|\\r)`)
)

// written is how package http writes a field's name, but for its first letter.
func written(field string) string { return http.CanonicalHeaderKey(field)[1:] + ": " }

// addJWT is [addFirst] for what is a JWT still: memory also has what was written over in part.
func addJWT[L ~[]string](list L, text string) L {
	if _, err := claimsOf(text); err != nil {
		return list
	}
	return addFirst(list, text)
}

// claimsOf is what a JWT says, which nobody has verified.
func claimsOf(text string) (token.Object, error) {
	_, body, _, err := token.Split(text, jwk.MaxLength)
	if err != nil {
		return nil, err
	}
	return token.Members(body)
}

func (f *Attestations) search(data []byte) {
	for _, match := range submatchesWithin(data, written(clientattestation.Field), sentAttestation, longestToken) {
		*f = addJWT(*f, match)
	}
	for _, match := range submatchesWithin(data, `"client_attestation"`, givenAttestation, longestToken) {
		*f = addJWT(*f, match)
	}
}

func (f *Attestations) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Attestation = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *Attestations) describe() []string {
	return counted(len(*f), "a client attestation", "client attestations")
}

func (f *Proofs) search(data []byte) {
	for _, match := range submatchesWithin(data, written(dpop.Field), sentProof, longestToken) {
		*f = addJWT(*f, match)
	}
}

// For is the latest for a URL; empty: there is none.
func (f Proofs) For(target string) string {
	i := slices.IndexFunc(f, func(text string) bool {
		claims, err := claimsOf(text)
		if err != nil {
			return false
		}
		is, err := claims.Text("htu")
		return err == nil && is == target
	})
	if i < 0 {
		return ""
	}
	return f[i]
}

func (f *Proofs) complete(protect.Identity) []protect.Identity { return nil }

func (f *Proofs) describe() []string { return counted(len(*f), "a DPoP proof", "DPoP proofs") }
