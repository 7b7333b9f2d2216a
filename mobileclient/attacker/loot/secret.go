package loot

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"

	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/protect"
)

// Secrets finds the app's shared secret, where it stands under a name, and requests that
// were signed with it.
type Secrets struct {
	// Values are what stood under the name of a secret, or was proven to be one.
	Values []string
	// Signed are requests that were signed with a secret, oldest first as far as their order
	// in the bytes tells.
	Signed []Signed
	// Shown are those with which a client has authenticated, as they stood in Basic
	// authentication: nothing has to be proven about them.
	Shown []string
}

// Signed is a request that was signed with Hawk, as far as the signature needs it.
type Signed struct {
	Method, Target string
	Field          string // Hawk id="…", …
}

const maxSigned = 64 // requests that are kept

var (
	namedSecret = regexp.MustCompile(`(?:SHARED|CLIENT)_SECRET"?\s{0,4}[:=]\s{0,4}"?([A-Za-z0-9+/=._~-]{8,128})["\\\s]`)
	requestLine = regexp.MustCompile(`(GET|POST|PUT|DELETE) (/[!-~]{1,512}) HTTP/1\.1`)
	hawkField   = regexp.MustCompile(`^Hawk (?:[a-z]{2,5}="[ !#-\[\]-~]+"(?:, ?)?)+`)
)

func (f *Secrets) search(data []byte) {
	for _, name := range []string{"SHARED_SECRET", "CLIENT_SECRET"} {
		for _, match := range submatches(data, name, namedSecret) {
			f.Values = addNew(f.Values, match)
		}
	}
	f.searchSigned(data)
	f.searchShown(data)
}

var basicField = regexp.MustCompile(`^(?i:authorization): ?Basic ([A-Za-z0-9+/]{12,512}=*)\r\n`)

// searchShown finds the secret with which a client has authenticated at a token endpoint (RFC 6749,
// section 2.3.1).
func (f *Secrets) searchShown(data []byte) {
	const before, after = 2048, 600
	for at := range occurrences(data, []byte("Authorization: Basic ")) {
		lines := requestLine.FindAllSubmatch(data[max(0, at-before):at], -1)
		match := basicField.FindSubmatch(data[at:min(len(data), at+after)])
		if match == nil || len(lines) == 0 || !bytes.HasSuffix(lines[len(lines)-1][2], []byte("/token")) {
			continue
		}
		decoded, err := base64.StdEncoding.DecodeString(string(match[1]))
		if err != nil {
			continue
		}
		_, encoded, ok := strings.Cut(string(decoded), ":")
		if secret, err := url.QueryUnescape(encoded); ok && err == nil && len(secret) >= minSecret {
			f.Shown = addNew(f.Shown, secret)
			f.Values = addNew(f.Values, secret)
		}
	}
}

// searchSigned finds signed requests: the field with the signature, and the line with
// which the request before it begins.
func (f *Secrets) searchSigned(data []byte) {
	const before, after = 2048, 1024
	for at := range occurrences(data, []byte(hawk.Scheme+" ")) {
		text := bytes.ReplaceAll(data[at:min(len(data), at+after)], []byte(`\"`), []byte(`"`)) // as JSON writes it
		field := strings.TrimRight(string(hawkField.Find(text)), ", ")
		if _, err := hawk.Parse(field); err != nil {
			continue
		}
		lines := requestLine.FindAllSubmatch(data[max(0, at-before):at], -1)
		if len(lines) > 0 && len(f.Signed) < maxSigned {
			line := lines[len(lines)-1]
			f.Signed = addNew(f.Signed, Signed{string(line[1]), string(line[2]), field})
		}
	}
}

func (f *Secrets) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Secret = range f.Values {
		complete = append(complete, as)
	}
	return complete
}

func (f *Secrets) describe() (parts []string) {
	for _, secret := range f.Values {
		parts = append(parts, "a secret ("+Fingerprint(secret)+")")
	}
	return parts
}

// Fingerprint stands for a secret where people read along.
func Fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "SHA-256 " + hex.EncodeToString(sum[:4]) + "…"
}
