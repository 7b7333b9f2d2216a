package traffic

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
)

// hawkFields are the three fields of Hawk: of requests, of answers and of refusals.
var hawkFields = decoder{
	Checks: []catalog.Check{catalog.CheckHawk, catalog.CheckSignedFields, catalog.CheckNonce, catalog.CheckNonceKept},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range hawkField.FindAllStringSubmatch(seen.Head, maxSections) {
			if attributes := hawkAttributes(f[1], f[3]); len(attributes) > 0 {
				found = append(found, credential(f[1], f[2], attributes))
			}
		}
		return found
	},
}

var hawkField = regexp.MustCompile(`(?im)^((?:[a-z]+-)?authorization|www-authenticate|server-authorization):[ \t]*(hawk)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)

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

func hawkAttributes(field, text string) []attribute {
	words := hawkWords[strings.ToLower(field)]
	if words == nil { // App-Authorization and the like
		words = hawkWords["authorization"]
	}
	var attributes []attribute
	for _, found := range hawkAttribute.FindAllStringSubmatch(text, maxAttributes) {
		a := attribute{Name: found[1], Value: found[2], Words: words[found[1]]}
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
