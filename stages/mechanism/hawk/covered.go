package hawk

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
)

// Covered is a digest of header fields, to be signed as ext. Hawk's MAC covers no field but
// Content-Type by itself: what the others say, anybody on the way can say instead. Both ends
// compute it over the request that they have, with the same names in the same order.
//
// It is the SHA-256, in base64url without padding, of a line `name: value` for each field
// that is there, the name in lower case, the line ended by LF. A field that is there twice
// is [ErrTwice]: its two readers might not take the same one.
//
//keyladder:code hawk-covered
func Covered(header http.Header, names ...string) (string, error) {
	sum := sha256.New()
	for _, name := range names {
		values := header.Values(name)
		if len(values) > 1 {
			return "", ErrTwice
		}
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n") {
				return "", ErrRequest // one line could be two
			}
			io.WriteString(sum, strings.ToLower(name)+": "+value+"\n")
		}
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)), nil
}
