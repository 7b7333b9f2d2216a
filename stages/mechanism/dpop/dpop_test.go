package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/dpop/dpoptest"
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

// TestNegativeCases shows proofs to a verifier that has seen none of the key before, and to one that
// has, and remembers the header.
func TestNegativeCases(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	request := dpop.Request{Method: "GET", URL: "https://api.example/device-bound/v1/accounts", Token: "token"}
	good := func() *dpoptest.Made { return dpoptest.Good(t, key, request, "given", now) }
	knowing := verifier
	knowing.Known = dpop.Remember(10)
	verify := func(v dpop.Verifier, m *dpoptest.Made) error {
		text, err := dpop.From(m.Fields(t))
		if err == nil {
			_, err = v.Verify(text, m.Request, now)
		}
		return err
	}
	for _, test := range dpoptest.Cases(t) {
		if err := verify(knowing, good()); err != nil {
			t.Fatal(err)
		}
		for i, v := range []dpop.Verifier{verifier, knowing, knowing} {
			m := good()
			test.Change(m)
			if err := verify(v, m); !errors.Is(err, test.Want) || test.Want == nil && err != nil {
				t.Errorf("%s, verifier %d: %v, want %v", test.Name, i, err, test.Want)
			}
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
