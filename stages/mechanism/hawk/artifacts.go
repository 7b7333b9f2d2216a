package hawk

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"sync"
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

// The uses of a MAC.
const (
	tagRequest  = "header"
	tagResponse = "response"
	tagTime     = "ts"
)

// base appends the text that a MAC is made over. It is used for everything that is signed
// or verified, at both ends. No value can hold a line feed (see check, and
// validValue for attributes), so two different sets of artifacts never make one text.
//
//keyladder:code hawk-text
func (a artifacts) base(text []byte, tag string) []byte {
	line := func(value string) { text = append(append(text, value...), '\n') }
	text = append(text, "hawk.1."...)
	line(tag)
	line(a.timestamp)
	if tag != tagTime {
		line(a.nonce)
		line(strings.ToUpper(a.method))
		line(a.target)
		line(strings.ToLower(a.host))
		text = append(strconv.AppendInt(text, int64(a.port), 10), '\n')
		line(a.hash)
		line(escape.Replace(a.ext))
		if a.app != "" {
			line(a.app)
			line(a.dlg)
		}
	}
	return text
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
// and an authority. The authority does not matter, as it does not in Host.
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
	for _, c := range []byte(text) {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// mac is the MAC over the artifacts' text under a key, in base64.
func (a artifacts) mac(key, tag string) string {
	k, _ := prepared.Get().(*keyed)
	if k == nil || k.key != key {
		k = &keyed{key: key, sum: hmac.New(sha256.New, []byte(key))}
	}
	defer prepared.Put(k)
	k.sum.Reset()
	k.text = a.base(k.text[:0], tag)
	k.sum.Write(k.text)
	return inBase64(k.sum.Sum(k.text[:0]))
}

// keyed is HMAC-SHA256 with a key in it. To put the key in takes longer than to make a MAC of
// a short text, and the next MAC is mostly under the same key.
type keyed struct {
	key  string
	sum  hash.Hash
	text []byte
}

// prepared are those that were used a moment ago.
var prepared sync.Pool

// payloadHash is the hash of a body and its media type, in base64. The body is the one
// before content coding.
func payloadHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	text := append(make([]byte, 0, 1024), "hawk.1.payload\n"...)
	text = append(text, strings.ToLower(strings.TrimSpace(mediaType))...)
	text = append(text, '\n')
	text = append(text, body...)
	text = append(text, '\n')
	sum := sha256.Sum256(text)
	return inBase64(sum[:])
}

func inBase64(sum []byte) string {
	return string(base64.StdEncoding.AppendEncode(make([]byte, 0, 64), sum))
}

// same compares MACs and hashes without telling, by the time that it takes, how
// much of them is right. It compares the texts, because there is more than one base64
// text for the same bytes.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
