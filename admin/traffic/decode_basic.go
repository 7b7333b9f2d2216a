package traffic

import (
	"encoding/base64"
	"regexp"
	"strings"

	"keyladder/stages/catalog"
)

// basicFields are users' names and passwords (RFC 7617).
var basicFields = decoder{
	Checks: []catalog.Check{catalog.CheckSignIn},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range basicField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, credential(f[1], f[2], basicAttributes(f[3])))
		}
		return found
	},
}

var basicField = regexp.MustCompile(`(?im)^((?:[a-z]+-)?authorization):[ \t]*(basic)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)

// mask stands for a password, whatever its length.
const mask = "••••••••"

func basicAttributes(credentials string) []attribute {
	user, ok := basicUser(credentials)
	if !ok {
		return []attribute{{"credentials", mask, "can't be read; masked here"}}
	}
	return []attribute{
		{"user", user, "in base64, which hides nothing"},
		{"password", mask, "in base64, too. It is masked here only: who reads the request has it"},
	}
}

func basicUser(credentials string) (user string, ok bool) {
	text, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil || !isText(text) {
		return "", false
	}
	user, _, ok = strings.Cut(string(text), ":")
	return user, ok
}

// basicCredentials are those of a Basic field (RFC 7617), wherever it is in a text; cookies
// are fields of their own.
var (
	basicCredentials = regexp.MustCompile(`(?im)(authorization:[ \t]*basic[ \t]+)([^\s"]+)`)
	cookies          = regexp.MustCompile(`(?im)^((?:set-)?cookie:[ \t]*)([^\s][^\r\n]*)`)
)

// masked is a text without the passwords of Basic credentials and forms, and without cookies,
// among which the admin's own may be.
func masked(text string) string {
	text = formSecrets.ReplaceAllString(text, "${1}${2}="+mask)
	return cookies.ReplaceAllString(basicCredentials.ReplaceAllString(text, "${1}"+mask), "${1}"+mask)
}
