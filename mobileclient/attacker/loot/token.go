package loot

import (
	"regexp"
	"strings"

	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// Tokens finds access tokens, which stand for signed-in users: in requests, and in the answers
// with which they are issued.
type Tokens []string

var (
	sentToken   = regexp.MustCompile(`(?i:authorization): ?(?:Bearer|DPoP) ([A-Za-z0-9._~+/-]{20,}=*)(?:\r?\n|\\r)`)
	issuedToken = regexp.MustCompile(`"access_token": ?"([A-Za-z0-9._~+/-]{20,}=*)"`)
	tokenInURL  = regexp.MustCompile(`[#?&]access_token=([A-Za-z0-9._~-]{20,})`)
)

// longestToken is how far what follows a token's name is looked at, in bytes.
const longestToken = 4200

func (f *Tokens) search(data []byte) {
	for _, scheme := range []string{token.Scheme, token.BoundScheme} {
		for _, match := range submatchesWithin(data, "uthorization: "+scheme+" ", sentToken, longestToken) {
			f.add(match)
		}
	}
	for _, match := range submatchesWithin(data, `"access_token"`, issuedToken, longestToken) {
		f.add(match)
	}
	for _, mark := range []string{"#", "?", "&"} {
		for _, match := range submatchesWithin(data, mark+"access_token=", tokenInURL, longestToken) {
			f.add(match)
		}
	}
}

// add takes what begins as a JWT does. Other tokens have no shape by which they could be told
// from what a program's texts say about them.
func (f *Tokens) add(text string) {
	if strings.HasPrefix(text, "eyJ") {
		*f = addNew(*f, text)
	}
}

func (f *Tokens) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Token = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *Tokens) describe() []string { return counted(len(*f), "an access token", "access tokens") }
