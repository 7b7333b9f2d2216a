// Package dpoptest has the proofs that whatever looks at proofs of possession is tested with: those of
// FAPI 2.0's conformance suite for DPoP, and some more.
package dpoptest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// Made is a proof that is being made.
type Made struct {
	Key            *ecdsa.PrivateKey
	Header, Claims map[string]any // without those that are nil
	Request        dpop.Request   // that it is shown with

	field  string                        // its name on the wire
	values func(text string) []string    // one for each of these fields
	signed func(text string) (is string) // what becomes of it after it was signed
}

// Good is a proof of a key for a request. Its URL has no port.
func Good(t testing.TB, key *ecdsa.PrivateKey, r dpop.Request, nonce string, at time.Time) *Made {
	t.Helper()
	public, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return &Made{
		Key: key, Request: r, Header: map[string]any{"typ": dpop.Type, "alg": jwk.Algorithm, "jwk": public},
		Claims: map[string]any{"jti": rand.Text(), "htm": r.Method, "htu": r.URL, "iat": at.Unix(), "ath": dpop.TokenHash(r.Token), "nonce": nonce},
		field:  dpop.Field, values: func(text string) []string { return []string{text} }, signed: func(text string) string { return text },
	}
}

// Fields are those of the proof, as a server reads them off the wire.
func (m *Made) Fields(t testing.TB) http.Header {
	t.Helper()
	encode := func(members map[string]any) string {
		maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(m.Header) + "." + encode(m.Claims)
	signature, err := jwk.SignBytes(m.Key, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var wire strings.Builder
	for _, value := range m.values(m.signed(text + "." + base64.RawURLEncoding.EncodeToString(signature))) {
		wire.WriteString(m.field + ": " + value + "\r\n")
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(wire.String() + "\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(header)
}

// Case is something that is changed about a good proof.
type Case struct {
	Name   string
	Change func(*Made)
	Want   error // nil: it is accepted
}

// Cases are for where clocks may be a minute apart, and a nonce has to be there.
func Cases(t testing.TB) []Case {
	t.Helper()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	header := func(change map[string]any) func(*Made) { return func(m *Made) { maps.Copy(m.Header, change) } }
	claim := func(name string, value any) func(*Made) { return func(m *Made) { m.Claims[name] = value } }
	without := func(name string) func(*Made) { return claim(name, nil) }
	values := func(of func(text string) []string) func(*Made) { return func(m *Made) { m.values = of } }
	target := func(change func(*url.URL)) func(*Made) {
		return func(m *Made) {
			u, err := url.Parse(m.Request.URL)
			if err != nil {
				t.Fatal(err)
			}
			change(u)
			m.Claims["htu"] = u.String()
		}
	}
	issued := func(after int64) func(*Made) {
		return func(m *Made) { m.Claims["iat"] = m.Claims["iat"].(int64) + after }
	}
	return []Case{
		{"nothing is changed", func(*Made) {}, nil},
		{"field name in capitals", func(m *Made) { m.field = "DPOP" }, nil},
		{"two fields", values(func(text string) []string { return []string{text, text} }), dpop.ErrTwice},
		{"no proof", values(func(string) []string { return nil }), dpop.ErrMissing},
		{"an empty field", values(func(string) []string { return []string{""} }), dpop.ErrMissing},
		{"not a JWT", values(func(string) []string { return []string{"proof"} }), token.ErrForm},
		{"two in one field", values(func(text string) []string { return []string{text + ", " + text} }), token.ErrForm},
		{"no typ", header(map[string]any{"typ": nil}), token.ErrType},
		{"wrong typ", header(map[string]any{"typ": "JWT"}), token.ErrType},
		{"no alg", header(map[string]any{"alg": nil}), token.ErrAlgorithm},
		{"none", header(map[string]any{"alg": "none"}), token.ErrAlgorithm},
		{"none, and no signature", func(m *Made) {
			m.Header["alg"] = "none"
			m.signed = func(text string) string { return text[:strings.LastIndexByte(text, '.')+1] }
		}, token.ErrAlgorithm},
		{"a symmetric algorithm", header(map[string]any{"alg": "HS256"}), token.ErrAlgorithm},
		{"no jwk", header(map[string]any{"jwk": nil}), jwk.ErrKey},
		{"private key in jwk", func(m *Made) { m.Header["jwk"] = testenv.PrivateJWK(t, m.Key) }, jwk.ErrPrivate},
		{"another key in jwk", func(m *Made) { m.Key = other }, token.ErrSignature},
		{"bad signature", func(m *Made) { m.signed = spoilt }, token.ErrSignature},
		{"extra header members", header(map[string]any{"kid": "1", "x": map[string]any{"y": 1}}), nil},
		{"a header that is critical", header(map[string]any{"crit": []string{"x"}, "x": 1}), token.ErrHeader},
		{"no jti", without("jti"), token.ErrClaims},
		{"an empty jti", claim("jti", ""), token.ErrClaims},
		{"no htm", without("htm"), token.ErrClaims},
		{"wrong htm", claim("htm", "POST"), dpop.ErrTarget},
		{"htm in lower case", claim("htm", "get"), dpop.ErrTarget},
		{"no htu", without("htu"), token.ErrClaims},
		{"htu with a query", target(func(u *url.URL) { u.RawQuery = "a=b" }), nil},
		{"htu with a fragment", target(func(u *url.URL) { u.Fragment = "a" }), nil},
		{"htu of another path", target(func(u *url.URL) { u.Path += "/1" }), dpop.ErrTarget},
		{"htu with a slash at its end", target(func(u *url.URL) { u.Path += "/" }), dpop.ErrTarget},
		{"htu of another host", target(func(u *url.URL) { u.Host += ".example" }), dpop.ErrTarget},
		{"htu of another port", target(func(u *url.URL) { u.Host += ":8443" }), dpop.ErrTarget},
		{"htu of another scheme", target(func(u *url.URL) { u.Scheme = "http" }), dpop.ErrTarget},
		{"htu with user information", target(func(u *url.URL) { u.User = url.User("a") }), dpop.ErrTarget},
		{"htu that is no URL", target(func(u *url.URL) { u.Scheme, u.Host = "", "" }), dpop.ErrTarget},
		{"scheme of htu in upper case", func(m *Made) { m.Claims["htu"] = "HTTPS" + strings.TrimPrefix(m.Request.URL, "https") }, nil},
		{"host of htu in upper case", target(func(u *url.URL) { u.Host = strings.ToUpper(u.Host) }), nil},
		{"explicit 443 in htu", target(func(u *url.URL) { u.Host += ":443" }), nil},
		{"path of htu in upper case", target(func(u *url.URL) { u.Path = strings.ToUpper(u.Path) }), dpop.ErrTarget},
		{"no iat", without("iat"), token.ErrClaims},
		{"iat is a text", claim("iat", "1790000000"), token.ErrClaims},
		{"iat an hour ago", issued(-3600), dpop.ErrTime},
		{"iat in an hour", issued(3600), dpop.ErrTime},
		{"iat a minute ago", issued(-60), nil},
		{"iat in a minute", issued(60), nil},
		{"iat a minute ago and more", issued(-61), dpop.ErrTime},
		{"iat in a minute and more", issued(61), dpop.ErrTime},
		{"iat with a fraction", func(m *Made) { m.Claims["iat"] = float64(m.Claims["iat"].(int64)) + 0.5 }, nil},
		{"no ath", without("ath"), token.ErrClaims},
		{"wrong ath", claim("ath", dpop.TokenHash("another")), dpop.ErrToken},
		{"ath where there is no token", func(m *Made) { m.Request.Token = "" }, nil},
		{"no nonce", without("nonce"), dpop.ErrNonce},
		{"an empty nonce", claim("nonce", ""), dpop.ErrNonce},
		{"another nonce", claim("nonce", "old"), dpop.ErrNonce},
		{"extra claims", claim("x", map[string]any{"y": 1}), nil},
		{"no nonce, and another method", func(m *Made) { m.Claims["htm"], m.Claims["nonce"] = "POST", nil }, dpop.ErrTarget},
	}
}

// spoilt has another signature: the first bits are different.
func spoilt(text string) string {
	at := strings.LastIndexByte(text, '.') + 1
	first := byte('A')
	if text[at] == first {
		first = 'B'
	}
	return text[:at] + string(first) + text[at+1:]
}
