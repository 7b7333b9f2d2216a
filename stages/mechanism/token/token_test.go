package token_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"keyladder/stages/mechanism/token"
)

const (
	issuer = "https://localhost:8443/password-grant"
	api    = "https://localhost:8443/password-grant/v1"
)

var now = time.Unix(1_790_000_000, 0)

var key = token.Key{ID: "first", Secret: token.Secret(strings.Repeat("k", 32))}

func keys(ring ...token.Key) func(string) (token.Secret, bool) {
	return func(id string) (token.Secret, bool) {
		for _, k := range ring {
			if k.ID == id {
				return k.Secret, true
			}
		}
		return nil, false
	}
}

var verifier = token.Verifier{Issuer: issuer, Audience: api, Keys: keys(key), Leeway: 5 * time.Second}

func claims() token.Claims {
	return token.Claims{
		Issuer: issuer, Subject: "alice", Audience: []string{api}, ClientID: "harbour-app",
		Issued: now, Expires: now.Add(5 * time.Minute), ID: "one", Scope: "accounts transfers",
	}
}

func sign(t testing.TB, k token.Key, c token.Claims) string {
	t.Helper()
	text, err := k.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// part is a part of a token.
func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// mac is the signature of the first two parts.
func mac(secret, parts string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(parts))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// made is a token with a right signature over a header and claims that are written out.
func made(header, claims string) string {
	parts := part(header) + "." + part(claims)
	return parts + "." + mac(string(key.Secret), parts)
}

const goodHeader = `{"alg":"HS256","kid":"first","typ":"at+jwt"}`

// body are good claims but for some members; nil leaves one out.
func body(changes map[string]any) string {
	all := map[string]any{
		"iss": issuer, "sub": "alice", "aud": api, "client_id": "harbour-app",
		"iat": now.Unix(), "exp": now.Unix() + 300, "jti": "one", "scope": "accounts",
	}
	maps.Copy(all, changes)
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*token.Claims){
		"one audience":      func(*token.Claims) {},
		"several audiences": func(c *token.Claims) { c.Audience = []string{"https://other.example", api} },
		"a device":          func(c *token.Claims) { c.Device = "phone-1" },
		"a key":             func(c *token.Claims) { c.Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
	} {
		want := claims()
		change(&want)
		got, err := verifier.Verify(sign(t, key, want), now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestTimes: a token works in the very second of its issue and in none from its expiry on.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		text string
		at   time.Duration // after it was issued
		want error
	}{
		{"when it was issued", made(goodHeader, body(nil)), 0, nil},
		{"issued by a clock 5 s ahead", made(goodHeader, body(nil)), -5 * time.Second, nil},
		{"issued by a clock 6 s ahead", made(goodHeader, body(nil)), -6 * time.Second, token.ErrNotYet},
		{"in its last moment", made(goodHeader, body(nil)), 300*time.Second - time.Nanosecond, nil},
		{"when it expires", made(goodHeader, body(nil)), 300 * time.Second, token.ErrExpired},
		{"nbf within the leeway", made(goodHeader, body(map[string]any{"nbf": now.Unix() + 5})), 0, nil},
		{"nbf beyond it", made(goodHeader, body(map[string]any{"nbf": now.Unix() + 6})), 0, token.ErrNotYet},
		{"fractions of seconds", made(goodHeader, body(map[string]any{"exp": float64(now.Unix()) + 0.5})), 400 * time.Millisecond, nil},
		{"and after them", made(goodHeader, body(map[string]any{"exp": float64(now.Unix()) + 0.5})), 600 * time.Millisecond, token.ErrExpired},
	} {
		if _, err := verifier.Verify(test.text, now.Add(test.at)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, not %v", test.name, err, test.want)
		}
	}
}

// TestRotation: two keys are good at once, and one that was withdrawn is not.
func TestRotation(t *testing.T) {
	t.Parallel()
	second := token.NewKey()
	old, young := sign(t, key, claims()), sign(t, second, claims())
	both := verifier
	both.Keys = keys(second, key)
	for _, text := range []string{old, young} {
		if _, err := both.Verify(text, now); err != nil {
			t.Error(err)
		}
	}
	after := verifier
	after.Keys = keys(second)
	if _, err := after.Verify(old, now); !errors.Is(err, token.ErrKey) {
		t.Errorf("the withdrawn key's token: %v", err)
	}
	// Somebody has the old key and names the new one.
	if _, err := after.Verify(sign(t, token.Key{ID: second.ID, Secret: key.Secret}, claims()), now); !errors.Is(err, token.ErrSignature) {
		t.Errorf("the old secret under the new ID: %v", err)
	}
}

// The document's own token: signed, in date, and with a claim that says admin.
const documents = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." +
	"eyJpc3MiOiJteV9pc3N1ZXIiLCJzZWUiOiJteSB5ZXNvdXJjZSBvd25lciIsImF1ZCI6Im15X3Jlc291cmNlX3NlcnZlciIsImFkbWluIjp0cnVlLCJleHAiOjExODMzODYyNDAwfQ." +
	"Vznz10-57b42Y8e16wmuUY6EVUSwBjQp41sZNw8TvVI"

// TestDocumentsToken: it can be read, and is refused, for many reasons.
func TestDocumentsToken(t *testing.T) {
	t.Parallel()
	e := verifier.Examine(documents, now)
	var said struct{ Admin bool }
	if err := json.Unmarshal(e.Claims, &said); err != nil || !said.Admin {
		t.Errorf("claims %s (%v)", e.Claims, err)
	}
	if !errors.Is(e.Err(), token.ErrHeader) {
		t.Errorf("refused with %v", e.Err())
	}
	got := map[string]string{}
	for _, f := range e.Findings {
		switch {
		case f.Moot:
			got[f.Check] = "moot"
		case f.Err != nil:
			got[f.Check] = "fails"
		default:
			got[f.Check] = "passes"
		}
	}
	want := map[string]string{
		"form": "passes", "header": "fails", "type": "moot", "algorithm": "moot", "key": "moot", "signature": "moot",
		"claims": "fails", "issuer": "moot", "audience": "moot", "issued": "moot", "expiry": "moot",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestExamineSeesAll: checks that can be made are made after one has failed.
func TestExamineSeesAll(t *testing.T) {
	t.Parallel()
	e := verifier.Examine(made(`{"alg":"none","kid":"first","typ":"JWT"}`, body(map[string]any{"iss": "https://evil.example", "exp": 1})), now)
	var failed []string
	for _, f := range e.Findings {
		if f.Err != nil {
			failed = append(failed, f.Check)
		}
	}
	if diff := cmp.Diff([]string{"type", "algorithm", "issuer", "expiry"}, failed); diff != "" {
		t.Error(diff)
	}
}

// TestVector is RFC 7515, appendix A.1: a right signature under another kind of header.
func TestVector(t *testing.T) {
	t.Parallel()
	secret, err := base64.RawURLEncoding.DecodeString("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	if err != nil {
		t.Fatal(err)
	}
	parts := part("{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}") + "." +
		part("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}")
	const want = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	if got := mac(string(secret), parts); got != want {
		t.Errorf("the signature is %s", got)
	}
	if _, err := verifier.Verify(parts+"."+want, now); !errors.Is(err, token.ErrHeader) {
		t.Errorf("refused with %v", err)
	}
}

// TestForgeries are tokens that servers have let pass.
func TestForgeries(t *testing.T) {
	t.Parallel()
	good := made(goodHeader, body(nil))
	if _, err := verifier.Verify(good, now); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	pieces := strings.Split(good, ".")
	header := func(alg string) string { return fmt.Sprintf(`{"alg":%q,"kid":"first","typ":"at+jwt"}`, alg) }
	claim := func(name string, value any) string { return made(goodHeader, body(map[string]any{name: value})) }
	// signed by somebody who has no key of ours
	byOther := func(kid, secret string) string {
		parts := part(fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, kid)) + "." + part(body(nil))
		return parts + "." + mac(secret, parts)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs256 := &jwt.Token{
		Method: jwt.SigningMethodRS256, Header: map[string]any{"alg": "RS256", "kid": "first", "typ": "at+jwt"},
		Claims: jwt.MapClaims{"iss": issuer},
	}
	byRSA, err := rs256.SignedString(rsaKey)
	if err != nil {
		t.Fatal(err)
	}

	type forgery struct {
		name, text string
		want       error
	}
	forgeries := []forgery{
		{"nothing", "", token.ErrForm},
		{"two parts", pieces[0] + "." + pieces[1], token.ErrForm},
		{"a part behind it", good + ".e30", token.ErrForm},
		{"a point behind it", good + ".", token.ErrForm},
		{"five parts, as an encrypted token", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA", token.ErrForm},
		{"the JSON form of a JWS", `{"payload":"` + pieces[1] + `","signatures":[]}`, token.ErrForm},
		{"a line feed in it", pieces[0] + "." + pieces[1] + "\n." + pieces[2], token.ErrForm},
		{"padding", pieces[0] + "." + pieces[1] + "=." + pieces[2], token.ErrForm},
		{"too long", made(goodHeader, body(map[string]any{"pad": strings.Repeat("x", token.MaxLength)})), token.ErrForm},
		{"a header that is no object", made(`"HS256"`, body(nil)), token.ErrHeader},
		{"a header with alg twice", made(`{"alg":"none","alg":"HS256","kid":"first","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"something behind the header", made(goodHeader+"{}", body(nil)), token.ErrHeader},
		{"a header without alg", made(`{"kid":"first","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"alg in other letters", made(`{"ALG":"HS256","kid":"first","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"alg a list", made(`{"alg":["HS256"],"kid":"first","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"no kid", made(`{"alg":"HS256","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"kid a number", made(`{"alg":"HS256","kid":1,"typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"no typ", made(`{"alg":"HS256","kid":"first"}`, body(nil)), token.ErrHeader},
		{"crit", made(`{"alg":"HS256","crit":["exp"],"kid":"first","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"b64 false", made(`{"alg":"HS256","b64":false,"crit":["b64"],"kid":"first","typ":"at+jwt"}`, body(nil)), token.ErrHeader},
		{"typ JWT", made(`{"alg":"HS256","kid":"first","typ":"JWT"}`, body(nil)), token.ErrType},
		{"a refresh token's typ", made(`{"alg":"HS256","kid":"first","typ":"rt+jwt"}`, body(nil)), token.ErrType},
		{"a proof's typ", made(`{"alg":"HS256","kid":"first","typ":"dpop+jwt"}`, body(nil)), token.ErrType},
		{"RS256 for our HS256", byRSA, token.ErrAlgorithm},
		{"an empty key", byOther("first", ""), token.ErrSignature},
		{"another key", byOther("first", strings.Repeat("x", 32)), token.ErrSignature},
		{"the key's ID as the key", byOther("first", "first"), token.ErrSignature},
		{"no signature", pieces[0] + "." + pieces[1] + ".", token.ErrSignature},
		{"half a signature", pieces[0] + "." + pieces[1] + "." + pieces[2][:22], token.ErrForm},
		{"other claims under the signature", pieces[0] + "." + part(body(map[string]any{"sub": "carol"})) + "." + pieces[2], token.ErrSignature},
		{"another header under the signature", part(`{"kid":"first","alg":"HS256","typ":"at+jwt"}`) + "." + pieces[1] + "." + pieces[2], token.ErrSignature},
		{"kid of a file", byOther("../../../dev/null", ""), token.ErrKey},
		{"kid with SQL", byOther("x' UNION SELECT 'secret' --", "secret"), token.ErrKey},
		{"kid with a zero byte", made(`{"alg":"HS256","kid":"first\u0000","typ":"at+jwt"}`, body(nil)), token.ErrKey},
		{"kid in other letters", byOther("FIRST", string(key.Secret)), token.ErrKey},
		{"claims that are no object", made(goodHeader, "null"), token.ErrClaims},
		{"a claim twice", made(goodHeader, strings.Replace(body(nil), `{`, `{"sub":"carol",`, 1)), token.ErrClaims},
		{"something behind the claims", made(goodHeader, body(nil)+"]"), token.ErrClaims},
		{"exp null", made(goodHeader, strings.Replace(body(nil), fmt.Sprint(now.Unix()+300), "null", 1)), token.ErrClaims},
		{"exp beyond what a number holds", made(goodHeader, strings.Replace(body(nil), fmt.Sprint(now.Unix()+300), "1e400", 1)), token.ErrClaims},
		{"exp in the year 10000", claim("exp", 253_402_300_800), token.ErrClaims},
		{"exp below zero", claim("exp", -1), token.ErrClaims},
		{"nbf a string", claim("nbf", "soon"), token.ErrClaims},
		{"cnf is no object", claim("cnf", "key"), token.ErrClaims},
		{"cnf without jkt", claim("cnf", map[string]any{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}), token.ErrClaims},
		{"cnf with more than jkt", claim("cnf", map[string]any{"jkt": "key", "kid": "1"}), token.ErrClaims},
		{"cnf with an empty jkt", claim("cnf", map[string]any{"jkt": ""}), token.ErrClaims},
		{"device empty", claim("device", ""), token.ErrClaims},
		{"device a number", claim("device", 1), token.ErrClaims},
		{"aud an empty list", claim("aud", []string{}), token.ErrClaims},
		{"aud an empty name in a list", claim("aud", []string{""}), token.ErrClaims},
		{"aud ours beside an empty name", claim("aud", []string{api, ""}), token.ErrClaims},
		{"aud another's", claim("aud", "https://other.example/v1"), token.ErrAudience},
		{"aud others'", claim("aud", []string{"https://a.example", "https://b.example"}), token.ErrAudience},
		{"aud that begins as ours", claim("aud", api+".evil.example"), token.ErrAudience},
		{"aud with a stroke at its end", claim("aud", api+"/"), token.ErrAudience},
		{"iss of another stage", claim("iss", "https://localhost:8444/refresh"), token.ErrIssuer},
		{"iss with a stroke at its end", claim("iss", issuer+"/"), token.ErrIssuer},
		{"iss in other letters", claim("iss", strings.ToUpper(issuer)), token.ErrIssuer},
		{"expired", claim("exp", now.Unix()), token.ErrExpired},
		{"from tomorrow", claim("iat", now.Unix()+86400), token.ErrNotYet},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", "hs256", "HS384", "HS512", "ES256", "PS256", "EdDSA", "dir"} {
		forgeries = append(forgeries,
			forgery{"alg " + alg + " without a signature", part(header(alg)) + "." + pieces[1] + ".", token.ErrAlgorithm},
			forgery{"alg " + alg + " under the right MAC", made(header(alg), body(nil)), token.ErrAlgorithm})
	}
	for _, name := range []string{"jwk", "jku", "x5u", "x5c", "x5t", "zip", "enc", "cty"} {
		forgeries = append(forgeries, forgery{"a header with " + name, made(fmt.Sprintf(`{"alg":"HS256","kid":"first",%q:"https://evil.example/keys","typ":"at+jwt"}`, name), body(nil)), token.ErrHeader})
	}
	for _, name := range []string{"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope"} {
		forgeries = append(forgeries,
			forgery{"no " + name, claim(name, nil), token.ErrClaims},
			forgery{name + " true", claim(name, true), token.ErrClaims},
			forgery{name + " an object", claim(name, map[string]any{"a": 1}), token.ErrClaims},
			forgery{name + " an empty text", claim(name, ""), token.ErrClaims})
		if name != "iat" && name != "exp" {
			forgeries = append(forgeries, forgery{name + " a number", claim(name, 7), token.ErrClaims})
		} else {
			forgeries = append(forgeries, forgery{name + " a text", claim(name, fmt.Sprint(now.Unix()+300)), token.ErrClaims})
		}
	}
	for _, f := range forgeries {
		if c, err := verifier.Verify(f.text, now); !errors.Is(err, f.want) {
			t.Errorf("%s: %v, not %v (%v)", f.name, err, f.want, c)
		}
		if err := verifier.Examine(f.text, now).Err(); !errors.Is(err, f.want) {
			t.Errorf("%s, examined: %v, not %v", f.name, err, f.want)
		}
	}
	t.Logf("%d forgeries", len(forgeries))
}

// TestUndecidedVerifier: one that was not told whom to trust trusts nobody.
func TestUndecidedVerifier(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		v    token.Verifier
		c    func(*token.Claims)
		want error
	}{
		"nothing":         {token.Verifier{}, func(*token.Claims) {}, token.ErrKey},
		"no audience":     {token.Verifier{Issuer: issuer, Keys: keys(key)}, func(*token.Claims) {}, token.ErrAudience},
		"no issuer":       {token.Verifier{Audience: api, Keys: keys(key)}, func(*token.Claims) {}, token.ErrIssuer},
		"a short secret":  {token.Verifier{Issuer: issuer, Audience: api, Keys: func(string) (token.Secret, bool) { return token.Secret("short"), true }}, func(*token.Claims) {}, token.ErrKey},
		"an empty secret": {token.Verifier{Issuer: issuer, Audience: api, Keys: func(string) (token.Secret, bool) { return nil, true }}, func(*token.Claims) {}, token.ErrKey},
	} {
		c := claims()
		test.c(&c)
		if _, err := test.v.Verify(sign(t, key, c), now); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, not %v", name, err, test.want)
		}
	}
	if _, err := (token.Key{ID: "short", Secret: token.Secret("short")}).Sign(claims()); err == nil {
		t.Error("signed with a short secret")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, key); strings.Contains(text, "kkkk") || strings.Contains(text, "107") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fields []string
		text   string
		err    error
	}{
		"one":                 {[]string{"Bearer a.b-c_d~e+f/g=="}, "a.b-c_d~e+f/g==", nil},
		"any case of scheme":  {[]string{"bEARER abc"}, "abc", nil},
		"spaces between":      {[]string{"Bearer   abc"}, "abc", nil},
		"none":                {nil, "", token.ErrMissing},
		"another scheme":      {[]string{"Basic abc"}, "", token.ErrMissing},
		"two fields":          {[]string{"Bearer abc", "Bearer abc"}, "", token.ErrTwice},
		"no token":            {[]string{"Bearer "}, "", token.ErrMalformed},
		"no token, no space":  {[]string{"Bearer"}, "", token.ErrMalformed},
		"padding alone":       {[]string{"Bearer =="}, "", token.ErrMalformed},
		"two tokens":          {[]string{"Bearer abc def"}, "", token.ErrMalformed},
		"two in a list":       {[]string{"Bearer abc,Bearer def"}, "", token.ErrMalformed},
		"a parameter":         {[]string{`Bearer token="abc"`}, "", token.ErrMalformed},
		"padding in between":  {[]string{"Bearer a=b"}, "", token.ErrMalformed},
		"a tab for the space": {[]string{"Bearer\tabc"}, "", token.ErrMissing},
	} {
		text, err := token.From(http.Header{"Authorization": test.fields})
		if text != test.text || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// FuzzVerify: nothing that does not come from our key is let through, and nothing panics.
func FuzzVerify(f *testing.F) {
	good := made(goodHeader, body(nil))
	f.Add(good)
	f.Add(documents)
	f.Add(part(`{"alg":"none","kid":"first","typ":"at+jwt"}`) + "." + part(body(nil)) + ".")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := verifier.Verify(text, now)
		if err == nil && text != good {
			t.Errorf("accepted %q", text)
		}
		if examined := verifier.Examine(text, now).Err(); (examined == nil) != (err == nil) {
			t.Errorf("verified with %v, examined with %v", err, examined)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	text := sign(b, key, claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	c := claims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Sign(c); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzMembers compares the members of an object with those that encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { "a" : 1 , "b":[{"c":"}"},"]"] ,"d":"\"\\" } `, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":-1.5e3,"b":null,"c":true}`, `{"a":1}}`, `[]`, `null`, `{"é":"é"}`, `{"a":{"a":1}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := token.Members(data)
		want := map[string]json.RawMessage{}
		if json.Unmarshal(data, &want) != nil || want == nil {
			if err == nil {
				t.Errorf("%q is an object", data)
			}
			return
		}
		if err == nil && !maps.EqualFunc(found, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("%q has %q, and not %q", data, found, want)
		}
		if err != nil && !strings.Contains(err.Error(), "twice") {
			t.Errorf("%q: %v", data, err)
		}
		for name, raw := range found {
			text, err := found.Text(name)
			var value *string
			if plain := json.Unmarshal(raw, &value) == nil && value != nil && *value != ""; plain != (err == nil) || plain && *value != text {
				t.Errorf("%q is %q, %v", raw, text, err)
			}
		}
	})
}
