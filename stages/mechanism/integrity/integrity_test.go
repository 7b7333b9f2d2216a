package integrity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

var (
	now    = time.Unix(1_790_000_000, 0)
	secret = token.Secret(strings.Repeat("s", 32))
	other  = token.Secret(strings.Repeat("o", 32))
	good   = integrity.Claims{
		Issuer: "https://localhost:8445/here", ClientID: "app", Audience: []string{"https://localhost:8443/here/v1"},
		Issued: now, Expires: now.Add(time.Minute), ID: "one", Release: 2, Device: "device", Level: "package-hash",
	}
	verifier = integrity.Verifier{
		Issuer: good.Issuer, Audience: good.Audience[0], Leeway: 5 * time.Second,
		Key: func(id string) (string, []token.Secret) {
			if id != "key" {
				return "", nil
			}
			return "app", []token.Secret{secret}
		},
	}
)

// deviceKey is the public key of a device.
func deviceKey(t testing.TB) jwk.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.OfSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, secret token.Secret, c integrity.Claims) string {
	t.Helper()
	text, err := integrity.Sign(token.Key{ID: "key", Secret: secret}, c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*integrity.Claims){
		"one audience": func(*integrity.Claims) {},
		"two":          func(c *integrity.Claims) { c.Audience = append([]string{"somebody else"}, c.Audience...) },
		"no device":    func(c *integrity.Claims) { c.Device = "" },
		"a key":        func(c *integrity.Claims) { c.Key = deviceKey(t) },
	} {
		c := good
		change(&c)
		got, err := verifier.Verify(sign(t, secret, c), now)
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// TestWrongTokens are refused, each for its own reason.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	but := func(change func(*integrity.Claims)) string {
		c := good
		change(&c)
		return sign(t, secret, c)
	}
	as := func(kind string, changes map[string]any) string {
		claims := map[string]any{
			"iss": good.Issuer, "sub": "app", "aud": good.Audience[0], "iat": now.Unix(), "exp": now.Unix() + 60,
			"jti": "one", "release": 2, "device": "device", "level": "package-hash",
		}
		maps.Copy(claims, changes)
		maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
		text, err := token.Key{ID: "key", Secret: secret}.SignAs(kind, claims)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	failing, err := integrity.Fail("key", good)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"a failing one":           {failing, token.ErrSignature},
		"another secret":          {sign(t, other, good), token.ErrSignature},
		"another key":             {withHeader(`{"alg":"HS256","kid":"app","typ":"client-integrity+jwt"}`, sign(t, secret, good)), token.ErrKey},
		"another client":          {but(func(c *integrity.Claims) { c.ClientID = "kiosk" }), integrity.ErrSubject},
		"another issuer":          {but(func(c *integrity.Claims) { c.Issuer += "2" }), token.ErrIssuer},
		"another audience":        {but(func(c *integrity.Claims) { c.Audience = []string{"https://localhost:8443/there/v1"} }), token.ErrAudience},
		"expired":                 {but(func(c *integrity.Claims) { c.Expires = now }), token.ErrExpired},
		"from the future":         {but(func(c *integrity.Claims) { c.Issued = now.Add(6 * time.Second) }), token.ErrNotYet},
		"release 0":               {but(func(c *integrity.Claims) { c.Release = 0 }), token.ErrClaims},
		"an access token":         {as(token.Type, nil), token.ErrType},
		"any JWT":                 {as("JWT", nil), token.ErrType},
		"no iss":                  {as(integrity.Type, map[string]any{"iss": nil}), token.ErrClaims},
		"no sub":                  {as(integrity.Type, map[string]any{"sub": nil}), token.ErrClaims},
		"no aud":                  {as(integrity.Type, map[string]any{"aud": nil}), token.ErrClaims},
		"an empty aud":            {as(integrity.Type, map[string]any{"aud": []string{}}), token.ErrClaims},
		"no iat":                  {as(integrity.Type, map[string]any{"iat": nil}), token.ErrClaims},
		"no exp":                  {as(integrity.Type, map[string]any{"exp": nil}), token.ErrClaims},
		"a text as exp":           {as(integrity.Type, map[string]any{"exp": "1790000060"}), token.ErrClaims},
		"no jti":                  {as(integrity.Type, map[string]any{"jti": nil}), token.ErrClaims},
		"no level":                {as(integrity.Type, map[string]any{"level": nil}), token.ErrClaims},
		"no release":              {as(integrity.Type, map[string]any{"release": nil}), token.ErrClaims},
		"a release and a half":    {as(integrity.Type, map[string]any{"release": 1.5}), token.ErrClaims},
		"no device":               {as(integrity.Type, map[string]any{"device": nil}), token.ErrClaims},
		"cnf is no object":        {as(integrity.Type, map[string]any{"cnf": "key"}), token.ErrClaims},
		"cnf has no key":          {as(integrity.Type, map[string]any{"cnf": map[string]any{}}), token.ErrClaims},
		"a thumbprint in cnf":     {as(integrity.Type, map[string]any{"cnf": map[string]any{"jkt": deviceKey(t).Thumbprint()}}), token.ErrClaims},
		"cnf has more":            {as(integrity.Type, map[string]any{"cnf": map[string]any{"jwk": deviceKey(t), "kid": "1"}}), token.ErrClaims},
		"a number as device":      {as(integrity.Type, map[string]any{"device": 1}), token.ErrClaims},
		"nothing":                 {"", token.ErrForm},
		"two parts":               {"a.b", token.ErrForm},
		"a changed claim":         {changed(t, sign(t, secret, good)), token.ErrSignature},
		"a header that asks none": {withHeader(`{"alg":"none","kid":"key","typ":"client-integrity+jwt"}`, sign(t, secret, good)), token.ErrAlgorithm},
	} {
		if _, err := verifier.Verify(c.text, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := verifier.Verify(but(func(c *integrity.Claims) { c.Issued = now.Add(4 * time.Second) }), now); err != nil {
		t.Errorf("within the leeway: %v", err)
	}
	var undecided integrity.Verifier
	if _, err := undecided.Verify(sign(t, secret, good), now); err == nil {
		t.Error("the zero verifier accepts")
	}
	if _, err := (token.Verifier{Issuer: good.Issuer, Audience: good.Audience[0], Keys: func(string) (token.Secret, bool) { return secret, true }}).Verify(sign(t, secret, good), now); !errors.Is(err, token.ErrType) {
		t.Errorf("as an access token: %v", err)
	}
}

// changed is a token with another release in its claims.
func changed(t *testing.T, text string) string {
	t.Helper()
	parts := strings.Split(text, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), `"release":2`, `"release":3`, 1)))
	return strings.Join(parts, ".")
}

func withHeader(header, text string) string {
	_, rest, _ := strings.Cut(text, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// TestSecretsOverlap: while one takes the place of another, both are good.
func TestSecretsOverlap(t *testing.T) {
	t.Parallel()
	v := verifier
	v.Key = func(string) (string, []token.Secret) { return "app", []token.Secret{other, secret} }
	for name, s := range map[string]token.Secret{"the new one": other, "the old one": secret} {
		if _, err := v.Verify(sign(t, s, good), now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.Verify(sign(t, token.Secret(strings.Repeat("x", 32)), good), now); !errors.Is(err, token.ErrSignature) {
		t.Errorf("a third: %v", err)
	}
}

// TestFailingLooksTheSame: whoever does not know the secret sees no difference, whatever the claims.
func TestFailingLooksTheSame(t *testing.T) {
	t.Parallel()
	failing, err := integrity.Fail("key", good)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(sign(t, secret, good), "."), strings.Split(failing, ".")
	if a[0] != b[0] || a[1] != b[1] || len(a[2]) != len(b[2]) || a[2] == b[2] {
		t.Errorf("%v\n%v", a, b)
	}
	again, err := integrity.Fail("key", good)
	if err != nil || again == failing {
		t.Errorf("two of them are signed with one key: %v", err)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	for _, c := range []struct {
		fields []string
		want   error
	}{{nil, integrity.ErrMissing}, {[]string{""}, integrity.ErrMissing}, {[]string{"a", "b"}, integrity.ErrTwice}, {[]string{"a.b.c"}, nil}} {
		header[integrity.Field] = c.fields
		if text, err := integrity.From(header); !errors.Is(err, c.want) || err == nil && text != "a.b.c" {
			t.Errorf("%q: %q, %v", c.fields, text, err)
		}
	}
	integrity.Set(header, "d.e.f")
	if text, err := integrity.From(header); err != nil || text != "d.e.f" {
		t.Errorf("%q, %v", text, err)
	}
}

// FuzzVerify: whatever somebody sends, or a key of ours has signed, is accepted or refused. What is
// accepted says all that a token has to, and can be said again.
func FuzzVerify(f *testing.F) {
	text := sign(f, secret, good)
	parts := strings.Split(text, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, claims)
	f.Add(parts[0]+"."+parts[1]+".", []byte(`{"iss":null,"aud":["a","https://localhost:8443/here/v1"],"release":2.0}`))
	f.Add(withHeader(`{"alg":"none"}`, text), []byte(`[]`))
	f.Fuzz(func(t *testing.T, sent string, claims []byte) {
		if _, err := verifier.Verify(sent, now); err == nil && sent != text {
			t.Errorf("accepted %q", sent)
		}
		signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(claims)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		c, err := verifier.Verify(signed+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), now)
		if err != nil {
			return
		}
		if c.ClientID != "app" || c.Issuer != good.Issuer || !slices.Contains(c.Audience, good.Audience[0]) || !now.Before(c.Expires) || c.ID == "" || c.Release < 1 || c.Level == "" {
			t.Errorf("%s is accepted as %+v", claims, c)
		}
		if again, err := verifier.Verify(sign(t, secret, c), now); err != nil || !cmp.Equal(again, c) {
			t.Errorf("%s says %+v, and said again %+v, %v", claims, c, again, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	text := sign(b, secret, good)
	for b.Loop() {
		if _, err := verifier.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}
