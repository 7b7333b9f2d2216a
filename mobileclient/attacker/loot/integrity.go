package loot

import (
	"regexp"
	"strings"

	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/protect"
)

// Integrity finds client integrity tokens: in requests, and in the answers of the attestation
// service. The one that was seen last comes first, as the others may have expired.
type Integrity []string

var (
	sentIntegrity  = regexp.MustCompile(`(?i:client-integrity-token): ?(eyJ[A-Za-z0-9._-]{20,})(?:\r?\n|\\r)`)
	givenIntegrity = regexp.MustCompile(`"token": ?"(eyJ[A-Za-z0-9._-]{20,})"`)
)

func (f *Integrity) search(data []byte) {
	for _, match := range submatchesWithin(data, strings.TrimPrefix(integrity.Field, "C"), sentIntegrity, longestToken) {
		*f = addJWT(*f, match)
	}
	for _, match := range submatchesWithin(data, `"token"`, givenIntegrity, longestToken) {
		*f = addJWT(*f, match)
	}
}

func (f *Integrity) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Integrity = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *Integrity) describe() []string {
	return counted(len(*f), "a client integrity token", "client integrity tokens")
}
