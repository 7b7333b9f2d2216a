package forge

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"strings"
)

// object is a header, or the claims.
type object map[string]any

// with is an object with some members changed. Those that are nil are left out.
func (o object) with(members object) object {
	changed := maps.Clone(o)
	for name, value := range members {
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
	}
	return changed
}

func (o object) String() string {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err) // texts, numbers and what was JSON before
	}
	return string(data)
}

// twice is the text of an object with a member added at its beginning, or at its end, beside
// the one of that name that it has.
func (o object) twice(name, value string, atEnd bool) string {
	inside := strings.TrimSuffix(strings.TrimPrefix(o.String(), "{"), "}")
	member := fmt.Sprintf("%q:%q", name, value)
	if atEnd {
		return "{" + inside + "," + member + "}"
	}
	return "{" + member + "," + inside + "}"
}

// token is one whose parts are known.
type token struct {
	header, claims object
	signature      string // as it is written
}

// read takes a token apart.
func read(text string) (t token, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return t, fmt.Errorf("the issuer's tokens have %d parts", len(parts))
	}
	for i, to := range []*object{&t.header, &t.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return t, fmt.Errorf("read part %d of a token: %w", i+1, err)
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(to); err != nil {
			return t, fmt.Errorf("read part %d of a token: %w", i+1, err)
		}
	}
	t.signature = parts[2]
	return t, nil
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// unsigned is what is signed: header and claims.
func unsigned(header, claims fmt.Stringer) string {
	return encode([]byte(header.String())) + "." + encode([]byte(claims.String()))
}

// text is JSON that no object has.
type text string

func (t text) String() string { return string(t) }

// signed is a token with a signature of one's own.
func signed(header, claims fmt.Stringer, sign func(string) []byte) string {
	text := unsigned(header, claims)
	return text + "." + encode(sign(text))
}

// mac signs with a key that is known, or guessed.
func mac(algorithm func() hash.Hash, key []byte) func(string) []byte {
	return func(text string) []byte {
		m := hmac.New(algorithm, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
}
