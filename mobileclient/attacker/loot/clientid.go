package loot

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"keyladder/stages/protect"
)

// ClientIDs finds what apps are registered under, which at the first stages is the key that
// they send. It is no secret.
type ClientIDs []string

var (
	// CLIENT_ID = "…", "CLIENT_ID":"…" and CLIENT_ID: …, to its end and what follows it: memory also has
	// values that were written over in part, by text that begins with a quote among others.
	quotedClientID = regexp.MustCompile(`CLIENT_ID"?\s{0,4}[:=]\s{0,4}"([A-Za-z0-9._~-]{3,128})"(?:[\s,;})\\]|$)`)
	bareClientID   = regexp.MustCompile(`CLIENT_ID"?\s{0,4}[:=]\s{0,4}([A-Za-z0-9._~-]{3,128})[\\\s]`)

	// Fields of requests, with their line ends and quotes as they are or as JSON writes them.
	sentKey     = regexp.MustCompile(`(?i:authorization): ?key ([A-Za-z0-9._~-]{3,128})(?:\r?\n|\\r)`)
	signedUnder = regexp.MustCompile(`Hawk id=\\?"([A-Za-z0-9._~-]{3,128})\\?"`)

	// A request line, as it is sent and as access logs have it. The text that a careful
	// server writes in a key's place, such as [redacted], is no key.
	queryOfRequest = regexp.MustCompile(`(?:GET|POST|PUT|DELETE) /[!-~]{0,512}?\?([!-~]{1,512}) HTTP/1\.1$`)
	keyInURL       = regexp.MustCompile(`(?:^|&)(?i:key)=([A-Za-z0-9._~%-]{3,128})(?:&|$)`)
)

func (f *ClientIDs) search(data []byte) {
	for _, named := range []*regexp.Regexp{quotedClientID, bareClientID} {
		for _, match := range submatches(data, "CLIENT_ID", named) {
			*f = addNew(*f, match)
		}
	}
	for _, match := range submatches(data, "uthorization: key ", sentKey) {
		*f = addNew(*f, match)
	}
	for _, match := range submatches(data, "Hawk id=", signedUnder) {
		*f = addNew(*f, match)
	}
	const longestLine = 1100
	for at := range occurrences(data, []byte(" HTTP/1.1")) {
		end := at + len(" HTTP/1.1")
		line := queryOfRequest.FindSubmatch(data[max(0, end-longestLine):end])
		if line == nil {
			continue
		}
		for _, key := range keyInURL.FindAllSubmatch(line[1], -1) {
			if id, err := url.QueryUnescape(string(key[1])); err == nil {
				*f = addNew(*f, id)
			}
		}
	}
	*f = wholeFirst(*f)
}

// wholeFirst leaves what others begin with for last: it may have been written over in part.
func wholeFirst(ids []string) []string {
	var parts []string
	whole := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		part := slices.ContainsFunc(ids, func(other string) bool { return other != id && strings.HasPrefix(other, id) })
		if part {
			parts = append(parts, id)
		}
		return part
	})
	return append(whole, parts...)
}

// Add adds what is known already; empty: nothing.
func (f *ClientIDs) Add(id string) {
	if id != "" {
		*f = addNew(*f, id)
	}
}

func (f *ClientIDs) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.ClientID = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *ClientIDs) describe() (parts []string) {
	for _, id := range *f {
		parts = append(parts, "the client ID "+id)
	}
	return parts
}
