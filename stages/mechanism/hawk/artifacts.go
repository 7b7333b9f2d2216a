package hawk

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// Credentials are what client and server share.
type Credentials struct {
	ID  string // public; the characters of an attribute's value
	Key string // used as the text that it is
}

// String names the credentials without the key, for logs.
func (c Credentials) String() string { return "Hawk credentials of " + strconv.Quote(c.ID) }

// GoString does the same.
func (c Credentials) GoString() string { return c.String() }

// artifacts is what goes into a MAC.
type artifacts struct {
	method, target   string
	host             string
	port             int
	timestamp, nonce string
	hash, ext        string
	app, dlg         string // of Oz, which builds on Hawk; only ever verified here
}

// What a MAC is for.
const (
	tagRequest  = "header"
	tagResponse = "response"
	tagTime     = "ts"
)

// base is the text that a MAC is made over. It is used for everything that is signed
// or verified, at both ends. No value can hold a line feed (see check, and
// validValue for attributes), so two different sets of artifacts never make one text.
//
//keyladder:code hawk-text
func (a artifacts) base(tag string) string {
	lines := []string{"hawk.1." + tag, a.timestamp}
	if tag != tagTime {
		lines = append(
			lines,
			a.nonce,
			strings.ToUpper(a.method),
			a.target,
			strings.ToLower(a.host),
			strconv.Itoa(a.port),
			a.hash,
			escape.Replace(a.ext),
		)
		if a.app != "" {
			lines = append(lines, a.app, a.dlg)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// check refuses what Hawk's text would make ambiguous.
func (a artifacts) check() error {
	if a.method == "" || a.method != strings.ToUpper(a.method) || !visible(a.method) {
		return ErrRequest // RFC 9110, section 9.1: methods are case-sensitive
	}
	if !strings.HasPrefix(a.target, "/") || !visible(a.target) {
		return ErrRequest // RFC 9112, section 3.2.1: origin-form
	}
	return nil
}

// originForm is a request's target as clients sign it. Servers have to take the absolute form
// as well, which proxies are sent (RFC 9112, section 3.2.2): the same target after a scheme
// and an authority. What the authority says does not matter, as it does not in Host.
func originForm(target string) string {
	scheme, rest, absolute := strings.Cut(target, "://")
	if !absolute || strings.ContainsAny(scheme, "/?") {
		return target
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	}
	return rest[i:]
}

// visible says whether a text is without spaces and control characters. Bytes beyond
// ASCII may be in request targets, though they shouldn't be.
func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// mac is the MAC under a key, in base64.
func mac(key, base string) string {
	sum := hmac.New(sha256.New, []byte(key))
	sum.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// payloadHash is the hash of a body and its media type, in base64. The body is the one
// before content coding.
func payloadHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	sum := sha256.New()
	sum.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(mediaType)) + "\n"))
	sum.Write(body)
	sum.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// same compares MACs and hashes without telling, by the time that it takes, how
// much of them is right. It compares the texts, because there is more than one base64
// text for the same bytes.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
