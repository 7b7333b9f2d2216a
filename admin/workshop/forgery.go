package workshop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// signatureKind says what becomes of the signature of a token that was changed.
type signatureKind string

// The kinds. The key of the issuer is not among them: this page does not have it, and no
// attacker should.
const (
	keepSignature signatureKind = "keep" // the old one, whatever it fits
	noSignature   signatureKind = "none" // and alg says so
	ownSignature  signatureKind = "own"  // HS256, with a secret of one's own
)

// forgery is a token as somebody has typed it.
type forgery struct {
	Header, Claims string // JSON
	Signature      signatureKind
	Secret         string // of an ownSignature; it may be empty, as attackers try that, too
}

// fault is what is wrong in the form.
type fault struct{ Field, Text string }

func (f *fault) Error() string { return f.Field + ": " + f.Text }

// token makes the token, out of the one that was changed. Parts that were not changed stay byte for
// byte as they were, so that the old signature still fits it. An error is a [*fault].
func (f forgery) token(before string) (string, error) {
	old := strings.Split(before, ".")
	if len(old) != 3 {
		old = make([]string, 3)
	}
	header := f.Header
	switch f.Signature {
	case keepSignature:
	case noSignature:
		header = withAlgorithm(header, "none")
	case ownSignature:
		header = withAlgorithm(header, jwt.SigningMethodHS256.Alg())
	default:
		return "", &fault{"signature", "Choose what becomes of the signature."}
	}
	first, err := encoded("header", header, old[0])
	if err != nil {
		return "", err
	}
	second, err := encoded("claims", f.Claims, old[1])
	if err != nil {
		return "", err
	}
	signed := first + "." + second
	switch f.Signature {
	case noSignature:
		return signed + ".", nil
	case ownSignature:
		mac, err := jwt.SigningMethodHS256.Sign(signed, []byte(f.Secret))
		if err != nil {
			return "", err
		}
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac), nil
	}
	return signed + "." + old[2], nil
}

// encoded is a part of a token: the old one where it says the same.
func encoded(field, text, old string) (string, error) {
	var compact, was bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return "", &fault{field, "This is not JSON: " + err.Error() + "."}
	}
	data, err := base64.RawURLEncoding.DecodeString(old)
	if err == nil && json.Compact(&was, data) == nil && bytes.Equal(was.Bytes(), compact.Bytes()) {
		return old, nil
	}
	return base64.RawURLEncoding.EncodeToString(compact.Bytes()), nil
}

// withAlgorithm is a header whose alg is another one. A text that is no JSON object stays as it is.
func withAlgorithm(header, alg string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(header), &members) != nil || members == nil {
		return header
	}
	members["alg"], _ = json.Marshal(alg) // a string
	out, err := json.Marshal(members)
	if err != nil {
		return header
	}
	return string(out)
}

// indentedText is JSON in lines. Another text stays as it is.
func indentedText(text string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return out.String()
}
