package jwk_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// of9449 is the key of the examples in RFC 9449.
const of9449 = `{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}`

// TestThumbprints are printed in standards, or follow from keys that are.
func TestThumbprints(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ key, want string }{
		"RFC 9449, section 6.1": {of9449, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
		"other order, spaces and members": {
			` { "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA", "use":"sig", "alg":"ES256", "kid":"1","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","kty":"EC","crv":"P-256"}`,
			"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		},
		"RFC 9421, appendix B.1.3": {
			`{"kty":"EC","crv":"P-256","x":"qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA","y":"Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0"}`,
			"ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI",
		},
		"client attestation, draft 12": {
			`{"kty":"EC","crv":"P-256","x":"VcKVNBZ4IaBAYW3jxM4w3TJFVA7myeUGQyGt-g_yvpQ","y":"f-E-hYE3TAWKwhVv9pej9NABs9SX9XsNO80x57jFTyU"}`,
			"Ak20Cf62SpTybasujYXbaI-Ms655MyvOZCtnnf8y1QU",
		},
	} {
		key, err := jwk.Parse([]byte(test.key))
		if got := key.Thumbprint(); err != nil || got != test.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, test.want)
		}
	}
}

// TestAppendixA3 is the example of RFC 7515.
func TestAppendixA3(t *testing.T) {
	t.Parallel()
	key, err := jwk.Parse([]byte(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`))
	if err != nil {
		t.Fatal(err)
	}
	signature, _ := base64.RawURLEncoding.DecodeString("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"))
	if !key.Verify([]byte(signed), signature) {
		t.Error("the signature is not good")
	}
	signature[63] ^= 1
	if key.Verify([]byte(signed), signature) || key.Verify([]byte(signed), nil) || (jwk.Key{}).Verify([]byte(signed), signature) {
		t.Error("another signature, or another key, is good")
	}
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	x, y := `"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"`, `"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"`
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"nothing":             {``, jwk.ErrKey},
		"null":                {`null`, jwk.ErrKey},
		"a list":              {`[]`, jwk.ErrKey},
		"private":             {`{"kty":"EC","crv":"P-256","x":` + x + `,"y":` + y + `,"d":"AA"}`, jwk.ErrPrivate},
		"private, and null":   {`{"kty":"EC","crv":"P-256","x":` + x + `,"y":` + y + `,"d":null}`, jwk.ErrPrivate},
		"symmetric":           {`{"kty":"oct","k":"AAAA"}`, jwk.ErrPrivate},
		"RSA":                 {`{"kty":"RSA","n":"AQAB","e":"AQAB"}`, jwk.ErrKey},
		"another kind":        {`{"kty":"ec","crv":"P-256","x":` + x + `,"y":` + y + `}`, jwk.ErrKey},
		"no kind":             {`{"crv":"P-256","x":` + x + `,"y":` + y + `}`, jwk.ErrKey},
		"another curve":       {`{"kty":"EC","crv":"P-384","x":` + x + `,"y":` + y + `}`, jwk.ErrKey},
		"x twice":             {`{"kty":"EC","crv":"P-256","x":` + x + `,"x":` + x + `,"y":` + y + `}`, jwk.ErrKey},
		"no y":                {`{"kty":"EC","crv":"P-256","x":` + x + `}`, jwk.ErrKey},
		"y as a number":       {`{"kty":"EC","crv":"P-256","x":` + x + `,"y":1}`, jwk.ErrKey},
		"not on the curve":    {`{"kty":"EC","crv":"P-256","x":` + y + `,"y":` + x + `}`, jwk.ErrKey},
		"zero":                {`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`, jwk.ErrKey},
		"a shorter x":         {`{"kty":"EC","crv":"P-256","x":"AA","y":` + y + `}`, jwk.ErrKey},
		"a longer x":          {`{"kty":"EC","crv":"P-256","x":"AA` + x[1:] + `,"y":` + y + `}`, jwk.ErrKey},
		"padding":             {`{"kty":"EC","crv":"P-256","x":` + x[:44] + `=","y":` + y + `}`, jwk.ErrKey},
		"spare bits":          {`{"kty":"EC","crv":"P-256","x":` + x[:43] + `t","y":` + y + `}`, jwk.ErrKey},
		"a line feed":         {`{"kty":"EC","crv":"P-256","x":` + x[:44] + `\n","y":` + y + `}`, jwk.ErrKey},
		"something behind it": {of9449 + `{}`, jwk.ErrKey},
	} {
		key, err := jwk.Parse([]byte(test.text))
		if !errors.Is(err, test.want) || key != (jwk.Key{}) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// otherwise is a signer that gives something else than a signature.
type otherwise struct {
	crypto.Signer
	gives []byte
}

func (o otherwise) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return o.gives, nil }

func newKey(t testing.TB) (*ecdsa.PrivateKey, jwk.Key) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.OfSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, key
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	private, key := newKey(t)
	if !key.Public().Equal(&private.PublicKey) {
		t.Error("Public is another key")
	}
	text, err := json.Marshal(map[string]jwk.Key{"jwk": key})
	if err != nil {
		t.Fatal(err)
	}
	var read struct{ JWK jwk.Key }
	if err := json.Unmarshal(text, &read); err != nil || read.JWK != key {
		t.Errorf("%s: %v", text, err)
	}
	for range 200 { // r and s are shorter now and then
		signature, err := jwk.SignBytes(private, []byte("data"))
		if err != nil || len(signature) != 64 || !key.Verify([]byte("data"), signature) || key.Verify([]byte("date"), signature) {
			t.Fatalf("%x, %v", signature, err)
		}
	}
}

func TestWhatCannotSign(t *testing.T) {
	t.Parallel()
	private, _ := newKey(t)
	larger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tooLarge := []byte{0x30, 0x28, 0x02, 0x23, 0x01}
	tooLarge = append(append(tooLarge, bytes.Repeat([]byte{1}, 34)...), 0x02, 0x01, 0x01)
	for name, signer := range map[string]crypto.Signer{
		"nothing":       nil,
		"another curve": larger,
		"no signature":  otherwise{private, []byte("signature")},
		"more":          otherwise{private, append([]byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01}, 0)},
		"negative":      otherwise{private, []byte{0x30, 0x06, 0x02, 0x01, 0xff, 0x02, 0x01, 0x01}},
		"too large":     otherwise{private, tooLarge},
	} {
		if signature, err := jwk.SignBytes(signer, []byte("data")); err == nil {
			t.Errorf("%s: signed %x", name, signature)
		}
		if text, err := jwk.Sign(signer, map[string]any{"typ": "a+jwt"}, nil); err == nil {
			t.Errorf("%s: signed %s", name, text)
		}
	}
	if text, err := jwk.Sign(private, map[string]any{}, nil); err == nil {
		t.Errorf("without a kind: %s", text)
	}
	for name, public := range map[string]*ecdsa.PublicKey{"nil": nil, "another curve": &larger.PublicKey} {
		if _, err := jwk.Of(public); !errors.Is(err, jwk.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := json.Marshal(jwk.Key{}); err == nil {
		t.Errorf("no key is %s", text)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	private, key := newKey(t)
	_, other := newKey(t)
	sign := func(header map[string]any) string {
		text, err := jwk.Sign(private, header, map[string]any{"sub": "app"})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	by := func(key jwk.Key) func(token.Object) (jwk.Key, error) {
		return func(token.Object) (jwk.Key, error) { return key, nil }
	}
	good := sign(map[string]any{"typ": "a+jwt", "x": "whatever"})
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	signed := func(header, claims string) string {
		text := encode([]byte(header)) + "." + encode([]byte(claims))
		signature, err := jwk.SignBytes(private, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + encode(signature)
	}
	if claims, err := jwk.Open(good, "a+jwt", by(key)); err != nil || string(claims["sub"]) != `"app"` {
		t.Errorf("%s, %v", claims, err)
	}
	if _, err := jwk.Open(sign(map[string]any{"typ": "application/A+JWT"}), "a+jwt", by(key)); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		text string
		key  jwk.Key
		want error
	}{
		"nothing":            {"", key, token.ErrForm},
		"two parts":          {parts[0] + "." + parts[1], key, token.ErrForm},
		"padding":            {good + "=", key, token.ErrForm},
		"too long":           {strings.Repeat("a", 9000) + good, key, token.ErrForm},
		"no JSON":            {signed(`header`, `{}`), key, token.ErrHeader},
		"twice":              {signed(`{"typ":"a+jwt","alg":"ES256","alg":"ES256"}`, `{}`), key, token.ErrHeader},
		"critical":           {sign(map[string]any{"typ": "a+jwt", "crit": []string{"x"}}), key, token.ErrHeader},
		"another kind":       {sign(map[string]any{"typ": "b+jwt"}), key, token.ErrType},
		"any JWT":            {sign(map[string]any{"typ": "JWT"}), key, token.ErrType},
		"no kind":            {signed(`{"alg":"ES256"}`, `{}`), key, token.ErrType},
		"none":               {encode([]byte(`{"typ":"a+jwt","alg":"none"}`)) + "." + parts[1] + ".", key, token.ErrAlgorithm},
		"another algorithm":  {signed(`{"typ":"a+jwt","alg":"HS256"}`, `{}`), key, token.ErrAlgorithm},
		"no algorithm":       {signed(`{"typ":"a+jwt"}`, `{}`), key, token.ErrAlgorithm},
		"another key":        {good, other, token.ErrSignature},
		"no key":             {good, jwk.Key{}, token.ErrSignature},
		"no signature":       {parts[0] + "." + parts[1] + ".", key, token.ErrSignature},
		"another claim":      {parts[0] + "." + encode([]byte(`{"sub":"api"}`)) + "." + parts[2], key, token.ErrSignature},
		"claims are no JSON": {signed(`{"typ":"a+jwt","alg":"ES256"}`, `[]`), key, token.ErrClaims},
		"a claim twice":      {signed(`{"typ":"a+jwt","alg":"ES256"}`, `{"a":1,"a":1}`), key, token.ErrClaims},
	} {
		if _, err := jwk.Open(test.text, "a+jwt", by(test.key)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	unknown := errors.New("unknown")
	if _, err := jwk.Open(good, "a+jwt", func(token.Object) (jwk.Key, error) { return key, unknown }); !errors.Is(err, unknown) {
		t.Errorf("a key that is not found: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(of9449))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := jwk.Parse(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(key)
		if err != nil || key.Public() == nil {
			t.Fatal(err)
		}
		if again, err := jwk.Parse(text); err != nil || again != key {
			t.Errorf("%s is %s, which is %v", data, text, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	private, key := newKey(b)
	data := bytes.Repeat([]byte("a"), 400)
	signature, err := jwk.SignBytes(private, data)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !key.Verify(data, signature) {
			b.Fatal("it is not good")
		}
	}
}

func BenchmarkSignBytes(b *testing.B) {
	private, _ := newKey(b)
	data := bytes.Repeat([]byte("a"), 400)
	for b.Loop() {
		if _, err := jwk.SignBytes(private, data); err != nil {
			b.Fatal(err)
		}
	}
}
