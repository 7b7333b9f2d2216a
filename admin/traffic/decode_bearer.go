package traffic

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// bearerTokens are access tokens in the field that says for which user the app calls (RFC 6750),
// those that are bound to a key too (RFC 9449), and what servers say of them that accept none.
var bearerTokens = decoder{
	Checks: []catalog.Check{catalog.CheckToken, catalog.CheckRevoked, catalog.CheckBinding},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range bearerField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, credential(f[1], f[2], claimsOf(f[3], accessWords)))
		}
		for _, f := range bearerChallenge.FindAllStringSubmatch(seen.Head, maxSections) {
			var attributes []attribute
			for _, a := range hawkAttribute.FindAllStringSubmatch(f[3], maxAttributes) {
				attributes = append(attributes, attribute{a[1], a[2], challengeWords[a[1]]})
			}
			found = append(found, credential(f[1], f[2], attributes))
		}
		return found
	},
}

var (
	bearerField     = regexp.MustCompile(`(?im)^(authorization):[ \t]*(` + token.Scheme + `|` + token.BoundScheme + `)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)
	bearerChallenge = regexp.MustCompile(`(?im)^(www-authenticate):[ \t]*(` + token.Scheme + `|` + token.BoundScheme + `)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)
)

var challengeWords = map[string]string{
	"realm": "whose users are asked for",
	"error": "what is wrong with the token; it is not there where none was sent",
	"scope": "what a token would have to be good for",
	"algs":  "with what proofs can be signed",
}

// claimWord says what a claim is.
type claimWord struct{ name, words string }

// accessWords say what the claims of an access token are, in the order in which they are shown.
var accessWords = []claimWord{
	{"sub", "the user for whom it was issued"},
	{"client_id", "the app that it was issued to"},
	{"scope", "what it is good for"},
	{"iss", "who issued it, and has signed it"},
	{"aud", "for whom it is"},
	{"iat", "when it was issued"},
	{"exp", "from then on it is worth nothing"},
	{"jti", "its own ID, by which it can be revoked"},
	{"cnf", "the key that it is bound to, by its thumbprint: whoever shows it has to prove that they have that"},
}

// claimsOf are the claims of a token that there are words for, as far as they can be read.
func claimsOf(text string, known []claimWord) []attribute {
	unreadable := []attribute{{"token", text, "it is not in the form of a JSON Web Token, so it means nothing to whoever reads it"}}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return unreadable
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return unreadable
	}
	var attributes []attribute
	for _, claim := range known {
		value, there := claims[claim.name]
		if !there {
			continue
		}
		a := attribute{claim.name, fmt.Sprint(value), claim.words}
		if members, ok := value.(map[string]any); ok {
			if shown, err := json.Marshal(members); err == nil {
				a.Value = string(shown)
			}
		}
		if at, ok := value.(float64); ok && at > 0 && at < 1e11 {
			a.Value = fmt.Sprint(int64(at))
			a.Words += ": " + ui.Stamp(time.Unix(int64(at), 0)) + " UTC"
		}
		attributes = append(attributes, a)
	}
	if len(attributes) == 0 {
		return unreadable
	}
	return attributes
}
