package traffic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyladder/admin/ui"
)

// maxCredentials are taken apart per message, and maxAttributes of each.
const (
	maxCredentials = 6
	maxAttributes  = 12
)

// credentialView is a header field in which somebody proves something, laid out.
// Nothing of it is verified here.
type credentialView struct {
	Field, Scheme string
	Attributes    []attributeView
}

// attributeView is one part of it.
type attributeView struct {
	Name, Value string
	Words       string // what it is
}

// credentialField is a field of a head with a scheme that is laid out.
var credentialField = regexp.MustCompile(`(?im)^((?:[a-z]+-)?authorization|www-authenticate|server-authorization):[ \t]*(hawk|basic|session)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)

// findCredentials lays out what proves something in a head.
func findCredentials(head string) []credentialView {
	var views []credentialView
	for _, found := range credentialField.FindAllStringSubmatch(head, maxCredentials) {
		view := credentialView{Field: found[1], Scheme: found[2]}
		challenge := strings.EqualFold(found[1], "WWW-Authenticate")
		switch scheme := strings.ToLower(found[2]); {
		case scheme == "hawk":
			view.Attributes = hawkAttributes(found[1], found[3])
		case scheme == "basic" && !challenge:
			view.Attributes = basicAttributes(found[3])
		case scheme == "session" && !challenge:
			view.Attributes = []attributeView{{"key", found[3], "random, and different at every sign-in; it stands for the user"}}
		}
		if len(view.Attributes) > 0 {
			views = append(views, view)
		}
	}
	return views
}

var hawkAttribute = regexp.MustCompile(`([A-Za-z]+)="([^"]*)"`)

// hawkWords say what the attributes of Hawk's three fields are.
var hawkWords = map[string]map[string]string{
	"authorization": {
		"id":    "of the key; the secret beside it does not travel",
		"ts":    "when it was signed, in seconds since 1970",
		"nonce": "made up for this request",
		"hash":  "SHA-256 of the body and its media type",
		"ext":   "more that is signed, as the application wants: from user-session on, a digest of the fields that say who the user and the device are",
		"mac":   "HMAC-SHA256, under the secret, of ts, nonce, hash and ext with method, target, host and port",
		"app":   "the application that the key was issued to",
		"dlg":   "the application that it was delegated by",
	},
	"server-authorization": {
		"mac":  "HMAC-SHA256, under the same secret, of the request that is answered and of the hash",
		"hash": "SHA-256 of this response's body and its media type",
		"ext":  "more that is signed, as the application wants",
	},
	"www-authenticate": {
		"ts":    "the server's time, in seconds since 1970",
		"tsm":   "HMAC-SHA256 of that time, under the secret: nobody else can set the app's clock",
		"error": "why the request was refused",
	},
}

func hawkAttributes(field, text string) []attributeView {
	words := hawkWords[strings.ToLower(field)]
	if words == nil { // App-Authorization and the like
		words = hawkWords["authorization"]
	}
	var attributes []attributeView
	for _, found := range hawkAttribute.FindAllStringSubmatch(text, maxAttributes) {
		a := attributeView{Name: found[1], Value: found[2], Words: words[found[1]]}
		if a.Words == "" {
			a.Words = "not an attribute that belongs here"
		}
		if seconds, err := strconv.ParseInt(a.Value, 10, 64); a.Name == "ts" && err == nil && seconds >= 0 && seconds < 1e11 {
			a.Words += ": " + ui.Stamp(time.Unix(seconds, 0)) + " UTC"
		}
		attributes = append(attributes, a)
	}
	return attributes
}

// mask stands for a password, whatever its length.
const mask = "••••••••"

func basicAttributes(credentials string) []attributeView {
	user, ok := basicUser(credentials)
	if !ok {
		return []attributeView{{"credentials", mask, "can't be read; masked here"}}
	}
	return []attributeView{
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

// masked is a text without the passwords of Basic credentials and without cookies, among
// which the admin's own may be.
func masked(text string) string {
	return cookies.ReplaceAllString(basicCredentials.ReplaceAllString(text, "${1}"+mask), "${1}"+mask)
}

// sealedView is a JSON Web Encryption, of which only the header can be read here.
type sealedView struct {
	Header string
	Parts  []attributeView
}

// compactJWE has four or five parts: the record may have been cut off in the ciphertext.
// The encrypted key may be empty (RFC 7516, section 7.1).
var compactJWE = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?`)

// findSealed shows whatever looks like a compact JWE in the texts.
func findSealed(texts ...string) []sealedView {
	var views []sealedView
	var seen []string
	for _, text := range texts {
		for _, token := range compactJWE.FindAllString(text, maxTokens) {
			if len(views) >= maxTokens || slices.Contains(seen, token) {
				continue
			}
			if view, ok := viewSealed(token); ok {
				seen, views = append(seen, token), append(views, view)
			}
		}
	}
	return views
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

func viewSealed(token string) (sealedView, bool) {
	parts := strings.Split(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return sealedView{}, false
	}
	var members struct{ Alg, Enc string }
	var pretty bytes.Buffer
	if json.Unmarshal(header, &members) != nil || members.Enc == "" || json.Indent(&pretty, header, "", "  ") != nil {
		return sealedView{}, false
	}
	key := attributeView{"key", lengthOf(parts[1]), "the content's key, encrypted"}
	if parts[1] == "" {
		key.Value, key.Words = "empty", "both ends have it already"
	}
	view := sealedView{Header: pretty.String(), Parts: []attributeView{
		key,
		{"IV", lengthOf(parts[2]), "random for each message"},
		{"ciphertext", lengthOf(parts[3]), "as long as what is inside"},
	}}
	if len(parts) < 5 {
		view.Parts[2].Words = "as far as it was recorded"
	} else {
		view.Parts = append(view.Parts, attributeView{"tag", lengthOf(parts[4]), "over the ciphertext and the header"})
	}
	return view, true
}

// lengthOf is how much is in a part.
func lengthOf(part string) string {
	return fmt.Sprintf("%d bytes", base64.RawURLEncoding.DecodedLen(len(part)))
}
