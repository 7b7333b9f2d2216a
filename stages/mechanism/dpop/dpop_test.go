package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

var (
	now      = time.Unix(1_790_000_000, 0)
	resource = dpop.Request{Method: "GET", URL: "https://localhost:8447/device-bound/v1/accounts", Token: "token"}
	verifier = dpop.Verifier{Skew: time.Minute, Nonce: func(text string) error {
		if text != "given" {
			return errors.New("unknown")
		}
		return nil
	}}
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestVectors are the proofs of RFC 9449, figures 2 and 12, put together of their parts.
func TestVectors(t *testing.T) {
	t.Parallel()
	const header = `{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}}`
	const access = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	encode := base64.RawURLEncoding.EncodeToString
	for name, test := range map[string]struct {
		claims, signature string
		request           dpop.Request
	}{
		"token request": {
			`{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://server.example.com/token","iat":1562262616}`,
			"2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
			dpop.Request{Method: "POST", URL: "https://server.example.com/token"},
		},
		"protected resource": {
			`{"jti":"e1j3V_bKic8-LAEB","htm":"GET","htu":"https://resource.example.org/protectedresource","iat":1562262618,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}`,
			"2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
			dpop.Request{Method: "GET", URL: "https://resource.example.org/protectedresource", Token: access},
		},
	} {
		text := encode([]byte(header)) + "." + encode([]byte(test.claims)) + "." + test.signature
		proof, err := dpop.Verifier{Skew: time.Minute}.Verify(text, test.request, time.Unix(1562262617, 0))
		if err != nil || proof.Key.Thumbprint() != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := dpop.TokenHash(access); got != "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" {
		t.Errorf("ath is %s", got)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	public, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name, request := range map[string]dpop.Request{
		"with a token":        resource,
		"without one":         {Method: "POST", URL: "https://localhost:8447/device-bound/token"},
		"a query, a fragment": {Method: "GET", URL: "HTTPS://LOCALHOST:8447/device-bound/v1/accounts?limit=1#top"},
		"no path":             {Method: "GET", URL: "https://localhost:443"},
		"IPv6":                {Method: "GET", URL: "https://[::1]:8447/a%2Fb/"},
	} {
		text, err := dpop.Sign(key, request, "given", now)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := verifier.Verify(text, request, now)
		if err != nil || proof.Key != public || !proof.Issued.Equal(now) || len(proof.ID) < 20 || seen[proof.ID] {
			t.Errorf("%s: %+v, %v", name, proof, err)
		}
		seen[proof.ID] = true
	}
	for name, address := range map[string]string{"relative": "/token", "no host": "https:///token", "another scheme": "ftp://localhost/", "user information": "https://a@localhost/", "nothing": ""} {
		if text, err := dpop.Sign(key, dpop.Request{Method: "GET", URL: address}, "", now); err == nil {
			t.Errorf("%s: signed %s", name, text)
		}
	}
	if _, err := dpop.Sign(nil, resource, "", now); !errors.Is(err, jwk.ErrKey) {
		t.Errorf("without a key: %v", err)
	}
}

// made is a proof that is being made, good until it is changed.
type made struct {
	key            *ecdsa.PrivateKey
	header, claims map[string]any
	request        dpop.Request // that it is shown with
	fields         func(text string) http.Header
}

// TestNegativeCases are those of FAPI 2.0's conformance suite for DPoP, and some more. They are the same
// for who has seen good proofs of the key before, and remembers their header.
func TestNegativeCases(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private := func() map[string]any {
		public, _ := jwk.OfSigner(key)
		text, _ := json.Marshal(public)
		var members map[string]any
		_ = json.Unmarshal(text, &members)
		members["d"] = base64.RawURLEncoding.EncodeToString(scalar)
		return members
	}
	header := func(change map[string]any) func(*made) { return func(m *made) { maps.Copy(m.header, change) } }
	claim := func(name string, value any) func(*made) { return func(m *made) { m.claims[name] = value } }
	without := func(name string) func(*made) { return func(m *made) { delete(m.claims, name) } }
	field := func(fields func(text string) http.Header) func(*made) { return func(m *made) { m.fields = fields } }
	for name, test := range map[string]struct {
		change func(*made)
		want   error // nil: it is accepted
	}{
		"nothing is changed":           {func(*made) {}, nil},
		"field name in capitals":       {field(func(text string) http.Header { return canonical("DPOP", text) }), nil},
		"two fields":                   {field(func(text string) http.Header { return http.Header{"Dpop": {text, text}} }), dpop.ErrTwice},
		"no proof":                     {field(func(string) http.Header { return http.Header{} }), dpop.ErrMissing},
		"an empty field":               {field(func(string) http.Header { return http.Header{"Dpop": {""}} }), dpop.ErrMissing},
		"not a JWT":                    {field(func(string) http.Header { return http.Header{"Dpop": {"proof"}} }), token.ErrForm},
		"two in one field":             {field(func(text string) http.Header { return http.Header{"Dpop": {text + ", " + text}} }), token.ErrForm},
		"no typ":                       {header(map[string]any{"typ": nil}), token.ErrType},
		"wrong typ":                    {header(map[string]any{"typ": "JWT"}), token.ErrType},
		"no alg":                       {header(map[string]any{"alg": nil}), token.ErrAlgorithm},
		"none":                         {header(map[string]any{"alg": "none"}), token.ErrAlgorithm},
		"a symmetric algorithm":        {header(map[string]any{"alg": "HS256"}), token.ErrAlgorithm},
		"no jwk":                       {header(map[string]any{"jwk": nil}), jwk.ErrKey},
		"private key in jwk":           {header(map[string]any{"jwk": private()}), jwk.ErrPrivate},
		"another key in jwk":           {func(m *made) { m.key = other }, token.ErrSignature},
		"bad signature":                {field(func(text string) http.Header { return http.Header{"Dpop": {spoilt(text)}} }), token.ErrSignature},
		"extra header members":         {header(map[string]any{"kid": "1", "x": map[string]any{"y": 1}}), nil},
		"a header that is critical":    {header(map[string]any{"crit": []string{"x"}, "x": 1}), token.ErrHeader},
		"no jti":                       {without("jti"), token.ErrClaims},
		"an empty jti":                 {claim("jti", ""), token.ErrClaims},
		"no htm":                       {without("htm"), token.ErrClaims},
		"wrong htm":                    {claim("htm", "POST"), dpop.ErrTarget},
		"htm in lower case":            {claim("htm", "get"), dpop.ErrTarget},
		"no htu":                       {without("htu"), token.ErrClaims},
		"htu with a query":             {claim("htu", resource.URL+"?a=b"), nil},
		"htu with a fragment":          {claim("htu", resource.URL+"#a"), nil},
		"htu of another path":          {claim("htu", resource.URL+"/1"), dpop.ErrTarget},
		"htu with a slash at its end":  {claim("htu", resource.URL+"/"), dpop.ErrTarget},
		"htu of another host":          {claim("htu", "https://localhost.example:8447/device-bound/v1/accounts"), dpop.ErrTarget},
		"htu of another port":          {claim("htu", "https://localhost/device-bound/v1/accounts"), dpop.ErrTarget},
		"htu of another scheme":        {claim("htu", "http://localhost:8447/device-bound/v1/accounts"), dpop.ErrTarget},
		"htu with user information":    {claim("htu", "https://a@localhost:8447/device-bound/v1/accounts"), dpop.ErrTarget},
		"htu that is no URL":           {claim("htu", "/device-bound/v1/accounts"), dpop.ErrTarget},
		"scheme of htu in upper case":  {claim("htu", "HTTPS"+strings.TrimPrefix(resource.URL, "https")), nil},
		"host of htu in upper case":    {claim("htu", strings.Replace(resource.URL, "localhost", "LOCALHOST", 1)), nil},
		"explicit 443 in htu":          {func(m *made) { m.request.URL, m.claims["htu"] = "https://api.example/a", "https://api.example:443/a" }, nil},
		"path of htu in upper case":    {claim("htu", strings.Replace(resource.URL, "accounts", "ACCOUNTS", 1)), dpop.ErrTarget},
		"no iat":                       {without("iat"), token.ErrClaims},
		"iat is a text":                {claim("iat", "1790000000"), token.ErrClaims},
		"iat an hour ago":              {claim("iat", now.Unix()-3600), dpop.ErrTime},
		"iat in an hour":               {claim("iat", now.Unix()+3600), dpop.ErrTime},
		"iat a minute ago":             {claim("iat", now.Unix()-60), nil},
		"iat in a minute":              {claim("iat", now.Unix()+60), nil},
		"iat a minute ago and more":    {claim("iat", now.Unix()-61), dpop.ErrTime},
		"iat in a minute and more":     {claim("iat", now.Unix()+61), dpop.ErrTime},
		"iat with a fraction":          {claim("iat", float64(now.Unix())+0.5), nil},
		"no ath":                       {without("ath"), token.ErrClaims},
		"wrong ath":                    {claim("ath", dpop.TokenHash("another")), dpop.ErrToken},
		"ath where there is no token":  {func(m *made) { m.request.Token = "" }, nil},
		"no nonce":                     {without("nonce"), dpop.ErrNonce},
		"an empty nonce":               {claim("nonce", ""), dpop.ErrNonce},
		"another nonce":                {claim("nonce", "old"), dpop.ErrNonce},
		"extra claims":                 {claim("x", map[string]any{"y": 1}), nil},
		"no nonce, and another method": {func(m *made) { m.claims["htm"] = "POST"; delete(m.claims, "nonce") }, dpop.ErrTarget},
	} {
		m := good(t, key)
		test.change(&m)
		text, err := dpop.From(m.fields(m.sign(t)))
		if err == nil {
			_, err = verifier.Verify(text, m.request, now)
		}
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err := m.again(t, key); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s, with a header that is known: %v, want %v", name, err, test.want)
		}
	}
	var undecided dpop.Verifier
	text, err := dpop.Sign(key, resource, "given", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := undecided.Verify(text, resource, now.Add(time.Second)); !errors.Is(err, dpop.ErrTime) {
		t.Errorf("the zero verifier: %v", err)
	}
}

// good is a proof of the key for [resource].
func good(t *testing.T, key *ecdsa.PrivateKey) made {
	t.Helper()
	public, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return made{
		key: key, header: map[string]any{"typ": dpop.Type, "alg": jwk.Algorithm, "jwk": public},
		claims:  map[string]any{"jti": "one", "htm": "GET", "htu": resource.URL, "iat": now.Unix(), "ath": dpop.TokenHash("token"), "nonce": "given"},
		request: resource, fields: func(text string) http.Header { return http.Header{"Dpop": {text}} },
	}
}

// again shows the proof to a verifier that has seen a good one of the key before. It is shown twice.
func (m made) again(t *testing.T, key *ecdsa.PrivateKey) (err error) {
	t.Helper()
	knowing := verifier
	knowing.Known = dpop.Remember(10)
	if _, err := knowing.Verify(good(t, key).sign(t), resource, now); err != nil {
		t.Fatal(err)
	}
	text, err := dpop.From(m.fields(m.sign(t)))
	for range 2 {
		if err == nil {
			_, err = knowing.Verify(text, m.request, now)
		}
	}
	return err
}

// TestKnownHeaders makes sure that a header is read once, and that a proof with another key's header is
// not good.
func TestKnownHeaders(t *testing.T) {
	t.Parallel()
	known := verifier
	known.Known = dpop.Remember(1)
	keys := []*ecdsa.PrivateKey{newKey(t), newKey(t)}
	for _, turn := range []int{0, 0, 1, 1, 0} { // there is room for one
		text, err := dpop.Sign(keys[turn], resource, "given", now)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := known.Verify(text, resource, now)
		if err != nil || !proof.Key.Public().Equal(&keys[turn].PublicKey) {
			t.Errorf("a proof of key %d: %+v, %v", turn, proof, err)
		}
		header, _, _ := strings.Cut(text, ".")
		another, err := dpop.Sign(keys[1-turn], resource, "given", now)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(another, ".")
		if _, err := known.Verify(header+"."+rest, resource, now); !errors.Is(err, token.ErrSignature) {
			t.Errorf("with the header of another key: %v", err)
		}
	}
}

// sign signs what is in header and claims, whatever that is. What is nil is left out.
func (m made) sign(t *testing.T) string {
	t.Helper()
	encode := func(members map[string]any) string {
		maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(m.header) + "." + encode(m.claims)
	signature, err := jwk.SignBytes(m.key, []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
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

func canonical(name, text string) http.Header {
	header := http.Header{}
	header.Set(name, text)
	return header
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	good, err := dpop.Sign(key, resource, "given", now)
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for i := range 2 {
		part, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			f.Fatal(err)
		}
		parts[i] = string(part)
	}
	f.Add([]byte(parts[0]), []byte(parts[1]), resource.URL)
	f.Add([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":null}`), []byte(`{}`), "https://[::1]")
	f.Fuzz(func(t *testing.T, header, claims []byte, address string) {
		text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
		request := dpop.Request{Method: "GET", URL: address, Token: "token"}
		if _, err := verifier.Verify(text+"."+parts[2], request, now); err == nil && (string(header) != parts[0] || string(claims) != parts[1]) {
			t.Errorf("accepted %s.%s with another's signature", header, claims)
		}
		signature, err := jwk.SignBytes(key, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		proof, err := verifier.Verify(text+"."+base64.RawURLEncoding.EncodeToString(signature), request, now)
		if err != nil {
			return
		}
		if proof.ID == "" || !proof.Key.Public().Equal(&key.PublicKey) || now.Sub(proof.Issued).Abs() > time.Minute {
			t.Errorf("%s.%s is %+v", header, claims, proof)
		}
	})
}

// BenchmarkVerify has a proof of a client that was here before.
func BenchmarkVerify(b *testing.B) {
	verifier := verifier
	verifier.Known = dpop.Remember(1)
	text, err := dpop.Sign(newKey(b), resource, "given", now)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(text, resource, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	key := newKey(b)
	for b.Loop() {
		if _, err := dpop.Sign(key, resource, "given", now); err != nil {
			b.Fatal(err)
		}
	}
}
