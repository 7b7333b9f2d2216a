package traffic

import (
	"regexp"
	"strings"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
)

// possessionProofs are what says that the sender has a key, in fields of its own: DPoP proofs (RFC 9449),
// and client attestations with theirs. Where servers give out what has to be in them, that is shown, too.
var possessionProofs = decoder{
	Checks: []catalog.Check{catalog.CheckDPoP, catalog.CheckAttested, catalog.CheckProofNew},
	Decode: func(seen text) []section {
		var found []section
		for _, field := range proofFields {
			for _, f := range field.pattern.FindAllStringSubmatch(seen.Head, maxSections) {
				attributes := []attribute{{"value", f[2], field.words}}
				if field.claims != nil {
					attributes = claimsOf(f[2], field.claims)
				}
				found = append(found, section{Kind: "credential", Scheme: strings.ToLower(field.name), Title: f[1] + ": " + field.title, Parts: []part{{Attributes: attributes}}})
			}
		}
		return found
	},
}

// proofField is a field that a decoder knows.
type proofField struct {
	name, title, words string
	claims             []claimWord // of the token in it; nil: it is no token
	pattern            *regexp.Regexp
}

var proofFields = []proofField{
	newProofField(dpop.Field, "a proof that the sender has the key which is in it", "", []claimWord{
		{"htm", "the method of the request that it is for"},
		{"htu", "its URL, without the query"},
		{"ath", "the hash of the access token that goes along"},
		{"nonce", "what the server has given out for it"},
		{"iat", "when it was made"},
		{"jti", "its own ID: it is good once"},
	}),
	newProofField(dpop.NonceField, "what the next proofs have to have in them", "a nonce, which the server recognises without keeping it", nil),
	newProofField(clientattestation.Field, "that an attestation service has looked at the client", "", []claimWord{
		{"sub", "the client that was looked at"},
		{"device", "the installation, as its device names it"},
		{"release", "the release that it is"},
		{"iat", "when it was issued"},
		{"exp", "from then on it is worth nothing"},
		{"cnf", "the key that its holder has"},
	}),
	newProofField(clientattestation.PoPField, "a proof that the client has that key", "", []claimWord{
		{"aud", "the server that it is for"},
		{"challenge", "what that has given out for it"},
		{"iat", "when it was made"},
		{"jti", "its own ID: it is good once"},
	}),
	newProofField(clientattestation.ChallengeField, "what the next proofs have to have in them", "a challenge, which the server recognises without keeping it", nil),
}

func newProofField(name, title, words string, claims []claimWord) proofField {
	pattern := regexp.MustCompile(`(?im)^(` + regexp.QuoteMeta(name) + `):[ \t]*(\S[^\r\n]*?)[ \t]*\r?$`)
	return proofField{name: name, title: title, words: words, claims: claims, pattern: pattern}
}
