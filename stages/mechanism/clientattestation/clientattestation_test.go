package clientattestation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

const server = "https://as.example.com"

var now = time.Unix(1_790_000_000, 0)

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

func trusting(key jwk.Key) clientattestation.Verifier {
	return clientattestation.Verifier{Leeway: 5 * time.Second, Attester: func(id string) (jwk.Key, bool) { return key, id == "attester" }}
}

func TestAttestations(t *testing.T) {
	t.Parallel()
	attester, public := newKey(t)
	stranger, _ := newKey(t)
	_, device := newKey(t)
	good := clientattestation.Claims{ClientID: "app", Issued: now, Expires: now.Add(time.Minute), Key: device, Device: "phone", Release: 3}
	text, err := clientattestation.Sign(attester, "attester", good)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := trusting(public).Verify(text, now); err != nil || got != good {
		t.Errorf("%+v, %v", got, err)
	}
	failing, err := clientattestation.Fail("attester", good)
	if err != nil || len(failing) != len(text) {
		t.Errorf("a failing one has %d bytes, and a good one %d: %v", len(failing), len(text), err)
	}
	as := func(signer *ecdsa.PrivateKey, header, claims map[string]any) string {
		all := map[string]any{"sub": "app", "iat": now.Unix(), "exp": now.Unix() + 60, "cnf": map[string]any{"jwk": device}, "device": "phone", "release": 3}
		maps.Copy(all, claims)
		maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
		head := map[string]any{"typ": clientattestation.Type, "kid": "attester"}
		maps.Copy(head, header)
		text, err := jwk.Sign(signer, head, all)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	type members = map[string]any
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"extra members":           {as(attester, members{"x": 1}, members{"x": 1}), nil},
		"from a bit ahead":        {as(attester, nil, members{"iat": now.Unix() + 5}), nil},
		"a failing one":           {failing, token.ErrSignature},
		"of somebody else":        {as(stranger, nil, nil), token.ErrSignature},
		"of an unknown attester":  {as(attester, members{"kid": "another"}, nil), clientattestation.ErrAttester},
		"another kind":            {as(attester, members{"typ": clientattestation.PoPType}, nil), token.ErrType},
		"any JWT":                 {as(attester, members{"typ": "JWT"}, nil), token.ErrType},
		"no sub":                  {as(attester, nil, members{"sub": nil}), token.ErrClaims},
		"no iat":                  {as(attester, nil, members{"iat": nil}), token.ErrClaims},
		"no exp":                  {as(attester, nil, members{"exp": nil}), token.ErrClaims},
		"no cnf":                  {as(attester, nil, members{"cnf": nil}), token.ErrClaims},
		"a private key in cnf":    {as(attester, nil, members{"cnf": members{"jwk": members{"kty": "EC", "crv": "P-256", "x": "", "y": "", "d": ""}}}), jwk.ErrPrivate},
		"a thumbprint in cnf":     {as(attester, nil, members{"cnf": members{"jkt": device.Thumbprint()}}), token.ErrClaims},
		"no device":               {as(attester, nil, members{"device": nil}), token.ErrClaims},
		"release 0":               {as(attester, nil, members{"release": 0}), token.ErrClaims},
		"expired":                 {as(attester, nil, members{"exp": now.Unix()}), token.ErrExpired},
		"from the future":         {as(attester, nil, members{"iat": now.Unix() + 6}), token.ErrNotYet},
		"nothing":                 {"", token.ErrForm},
		"a list":                  {text + ", " + text, token.ErrForm},
		"with a parameter":        {text + ";a=1", token.ErrForm},
		"a string":                {`"` + text + `"`, token.ErrForm},
		"an algorithm of another": {strings.Replace(text, strings.Split(text, ".")[0], base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"oauth-client-attestation+jwt"}`)), 1), token.ErrAlgorithm},
	} {
		_, err := trusting(public).Verify(test.text, now)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	var undecided clientattestation.Verifier
	if _, err := undecided.Verify(text, now); !errors.Is(err, clientattestation.ErrAttester) {
		t.Errorf("the zero verifier: %v", err)
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	private, key := newKey(t)
	_, another := newKey(t)
	verifier := clientattestation.PoPVerifier{Audience: server, Skew: time.Minute, Challenge: func(text string) error {
		if text != "given" {
			return errors.New("unknown")
		}
		return nil
	}}
	as := func(header, claims map[string]any) string {
		all := map[string]any{"aud": server, "jti": "one", "iat": now.Unix(), "challenge": "given"}
		maps.Copy(all, claims)
		maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
		head := map[string]any{"typ": clientattestation.PoPType}
		maps.Copy(head, header)
		text, err := jwk.Sign(private, head, all)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	type members = map[string]any
	good, err := clientattestation.SignPoP(private, server, "given", now)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text string
		key  jwk.Key
		want error
	}{
		"a good one":          {good, key, nil},
		"extra members":       {as(members{"jwk": another}, members{"exp": 1, "x": 1}), key, nil},
		"a minute ago":        {as(nil, members{"iat": now.Unix() - 60}), key, nil},
		"another key":         {good, another, token.ErrSignature},
		"no key":              {good, jwk.Key{}, token.ErrSignature},
		"another kind":        {as(members{"typ": "dpop+jwt"}, nil), key, token.ErrType},
		"for another server":  {as(nil, members{"aud": "https://rs.example.com"}), key, token.ErrAudience},
		"with a slash more":   {as(nil, members{"aud": server + "/"}), key, token.ErrAudience},
		"for several servers": {as(nil, members{"aud": []string{server}}), key, token.ErrClaims},
		"no aud":              {as(nil, members{"aud": nil}), key, token.ErrClaims},
		"no jti":              {as(nil, members{"jti": nil}), key, token.ErrClaims},
		"an empty jti":        {as(nil, members{"jti": ""}), key, token.ErrClaims},
		"no iat":              {as(nil, members{"iat": nil}), key, token.ErrClaims},
		"too old":             {as(nil, members{"iat": now.Unix() - 61}), key, clientattestation.ErrTime},
		"from the future":     {as(nil, members{"iat": now.Unix() + 61}), key, clientattestation.ErrTime},
		"no challenge":        {as(nil, members{"challenge": nil}), key, clientattestation.ErrChallenge},
		"another challenge":   {as(nil, members{"challenge": "old"}), key, clientattestation.ErrChallenge},
	} {
		_, err := verifier.Verify(test.text, test.key, now)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	var undecided clientattestation.PoPVerifier
	if _, err := undecided.Verify(good, key, now); !errors.Is(err, token.ErrAudience) {
		t.Errorf("the zero verifier: %v", err)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	clientattestation.Set(header, "a")
	clientattestation.SetPoP(header, "b")
	a, err1 := clientattestation.From(header)
	b, err2 := clientattestation.PoPFrom(header)
	if a != "a" || b != "b" || err1 != nil || err2 != nil {
		t.Error(a, b, err1, err2)
	}
	for name, test := range map[string]struct {
		header    http.Header
		want, pop error
	}{
		"nothing": {http.Header{}, clientattestation.ErrMissing, clientattestation.ErrNoPoP},
		"empty":   {http.Header{"Oauth-Client-Attestation": {""}, "Oauth-Client-Attestation-Pop": {""}}, clientattestation.ErrMissing, clientattestation.ErrNoPoP},
		"two":     {http.Header{"Oauth-Client-Attestation": {"a", "b"}, "Oauth-Client-Attestation-Pop": {"a", "b"}}, clientattestation.ErrTwice, clientattestation.ErrTwice},
	} {
		_, err1 := clientattestation.From(test.header)
		_, err2 := clientattestation.PoPFrom(test.header)
		if !errors.Is(err1, test.want) || !errors.Is(err2, test.pop) {
			t.Errorf("%s: %v, %v", name, err1, err2)
		}
	}
}

func FuzzVerify(f *testing.F) {
	attester, public := newKey(f)
	_, device := newKey(f)
	text, err := clientattestation.Sign(attester, "attester", clientattestation.Claims{ClientID: "app", Issued: now, Expires: now.Add(time.Minute), Key: device, Release: 3})
	if err != nil {
		f.Fatal(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(claims)
	f.Add([]byte(`{"sub":"app","aud":"https://as.example.com","iat":1790000000,"jti":"1","challenge":"1"}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		signed := func(kind string) string {
			text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"attester","typ":"`+kind+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
			signature, err := jwk.SignBytes(attester, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return text + "." + base64.RawURLEncoding.EncodeToString(signature)
		}
		if c, err := trusting(public).Verify(signed(clientattestation.Type), now); err == nil && (c.ClientID == "" || c.Key == (jwk.Key{}) || c.Release < 1 || !now.Before(c.Expires)) {
			t.Errorf("%s is %+v", claims, c)
		}
		verifier := clientattestation.PoPVerifier{Audience: server, Skew: time.Minute}
		if p, err := verifier.Verify(signed(clientattestation.PoPType), public, now); err == nil && (p.ID == "" || now.Sub(p.Issued).Abs() > time.Minute) {
			t.Errorf("%s is %+v", claims, p)
		}
	})
}
