package traffic

import (
	"regexp"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
)

// integrityTokens are client integrity tokens in their field. One that is good looks like one that is
// not: only who has the secret can tell.
var integrityTokens = decoder{
	Checks: []catalog.Check{catalog.CheckIntegrity},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range integrityField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, section{
				Kind: "credential", Scheme: "client-integrity", Title: f[1] + ": that an attestation service has looked at the app",
				Parts: []part{{Attributes: claimsOf(f[2], integrityWords)}},
			})
		}
		return found
	},
}

var integrityField = regexp.MustCompile(`(?im)^(` + integrity.Field + `):[ \t]*(\S[^\r\n]*?)[ \t]*\r?$`)

// integrityWords say what the claims are, in the order in which they are shown.
var integrityWords = []claimWord{
	{"sub", "the app that was looked at"},
	{"release", "the release that it says it is"},
	{"device", "the installation, as its device names it"},
	{"level", "what was looked at"},
	{"iss", "the attestation service, which has signed it, with a secret that servers share"},
	{"aud", "for whom it is"},
	{"iat", "when it was issued"},
	{"exp", "from then on it is worth nothing"},
	{"jti", "its own ID"},
	{"cnf", "the key of the device that it is bound to"},
}
