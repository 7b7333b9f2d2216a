package traffic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"keyladder/stages/catalog"
)

// sealedBodies are JSON Web Encryptions (RFC 7516), of which only the header can be read here.
var sealedBodies = decoder{
	Checks: []catalog.Check{catalog.CheckSealedBody},
	Decode: func(seen text) []section {
		found := findSealed(seen.Head, seen.Body)
		for i := range found {
			if json.Valid([]byte(seen.Body)) { // not that it is one
				found[i].Title = "A portion of the body: " + found[i].Title
				found[i].Note = "only its header can be read, and what stands beside it"
			}
		}
		return found
	},
}

// compactJWE has four or five parts: the record may have been cut off in the ciphertext.
// The encrypted key may be empty (RFC 7516, section 7.1).
var compactJWE = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?`)

// findSealed shows whatever looks like a compact JWE in the texts.
func findSealed(texts ...string) []section {
	return eachOnce(compactJWE, viewSealed, texts...)
}

// wholeSealed says whether a text is a compact JWE and nothing else.
func wholeSealed(text string) bool {
	found := compactJWE.FindStringIndex(text)
	if found == nil || found[0] != 0 || found[1] != len(text) {
		return false
	}
	_, ok := viewSealed(text)
	return ok
}

func viewSealed(token string) (section, bool) {
	parts := strings.Split(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return section{}, false
	}
	var members struct{ Alg, Enc string }
	var pretty bytes.Buffer
	if json.Unmarshal(header, &members) != nil || members.Enc == "" || json.Indent(&pretty, header, "", "  ") != nil {
		return section{}, false
	}
	key := attribute{"key", lengthOf(parts[1]), "the content's key, encrypted"}
	if parts[1] == "" {
		key.Value, key.Words = "empty", "both ends have it already"
	}
	rest := []attribute{
		key,
		{"IV", lengthOf(parts[2]), "random for each message"},
		{"ciphertext", lengthOf(parts[3]), "as long as what is inside"},
	}
	if len(parts) < 5 {
		rest[2].Words = "as far as it was recorded"
	} else {
		rest = append(rest, attribute{"tag", lengthOf(parts[4]), "over the ciphertext and the header"})
	}
	return section{
		Kind: "sealed", Title: "A JSON Web Encryption", Note: "only its header can be read",
		Parts: []part{
			{Title: "Header", Text: pretty.String()},
			{Title: "The rest is opaque: whoever carries it sees no more than this", Attributes: rest},
		},
	}, true
}

// lengthOf is how much is in a part.
func lengthOf(part string) string {
	return fmt.Sprintf("%d bytes", base64.RawURLEncoding.DecodedLen(len(part)))
}
