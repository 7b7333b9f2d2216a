package evidence_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/token"
)

var now = time.Unix(1_790_000_000, 0)

// authority is a maker's, or one of its intermediates, or a device.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// issue makes a certificate under another one; nil: under itself.
func issue(t testing.TB, by *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueTo(t, by, key, &key.PublicKey, change)
}

func issueTo(t testing.TB, by *authority, key *ecdsa.PrivateKey, public any, change func(*x509.Certificate)) *authority {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "a device"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &authority{key, template}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, public, by.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, certificate}
}

func isCA(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.Subject.CommonName = true, x509.KeyUsageCertSign, "a maker"
}

// world is a device with its maker, and an app on it.
type world struct {
	root, between, device *authority
	app                   jwk.Key
	ueid                  []byte
	claims                evidence.Claims
	verifier              evidence.Verifier
}

func (w *world) chain() []*x509.Certificate {
	return []*x509.Certificate{w.device.certificate, w.between.certificate}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{ueid: append([]byte{1}, bytes.Repeat([]byte{7}, 16)...)}
	w.root = issue(t, nil, isCA)
	w.between = issue(t, w.root, isCA)
	w.device = issue(t, w.between, w.named)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if w.app, err = jwk.Of(&key.PublicKey); err != nil {
		t.Fatal(err)
	}
	signer, err := pin.OfKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	found := attestation.Findings{Intercepted: true}
	w.claims = evidence.Claims{
		Issued: now, Nonce: bytes.Repeat([]byte{9}, 32), Bound: evidence.Bound(found),
		Device:  evidence.Device{UEID: w.ueid, OEMID: evidence.ExamplePEN, Model: "Keel 1"},
		System:  evidence.System{Name: "KeelOS", Version: "1", OEM: true, Locked: true, Key: pin.Of(w.root.certificate)},
		Debug:   evidence.DebugDisabled,
		Package: evidence.Package{Name: "com.example.app", Measurement: attestation.Measurement(strings.Repeat("a1", 32)), Signer: signer},
		Key:     w.app,
	}
	roots := x509.NewCertPool()
	roots.AddCert(w.root.certificate)
	w.verifier = evidence.Verifier{
		Roots: roots, Revoked: func(string) bool { return false }, Nonce: w.claims.Nonce, Bound: evidence.Bound(found), Within: time.Minute,
	}
	return w
}

// named says which device a certificate is of.
func (w *world) named(c *x509.Certificate) {
	c.Subject.SerialNumber = base64.RawURLEncoding.EncodeToString(w.ueid)
}

func (w *world) sign(t testing.TB, change func(*evidence.Claims)) string {
	t.Helper()
	c := w.claims
	if change != nil {
		change(&c)
	}
	text, err := evidence.Sign(w.device.key, w.chain(), c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBothHalves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := w.sign(t, nil)
	w.claims.Chain = append(w.chain(), w.root.certificate)
	got, err := w.verifier.Verify(text, now)
	if diff := cmp.Diff(w.claims, got, cmp.Comparer(func(a, b jwk.Key) bool { return a == b })); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if t.Logf("%d bytes", len(text)); len(text) > jwk.MaxLength {
		t.Error("it is too long")
	}
	direct := issue(t, w.root, w.named) // a maker may sign without intermediates
	text, err = evidence.Sign(direct.key, []*x509.Certificate{direct.certificate}, w.claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.verifier.Verify(text, now); err != nil {
		t.Error(err)
	}
}

// written is the claims of evidence as RFC 9711 has them, written by other means.
func (w *world) written(t testing.TB) map[string]any {
	t.Helper()
	measured, err := json.Marshal(map[string]any{"name": "com.example.app", "sha256": strings.Repeat("a1", 32), "signer": w.claims.Package.Signer})
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return map[string]any{
		"eat_profile": "urn:keyladder:eat:device-evidence", "iat": now.Unix(), "eat_nonce": []string{b64(w.claims.Nonce), b64(w.claims.Bound)},
		"ueid": b64(w.ueid), "oemid": 32473, "hwmodel": b64([]byte("Keel 1")), "swname": "KeelOS", "swversion": []string{"1"}, "oemboot": true,
		"boot": map[string]any{"locked": true, "key": w.claims.System.Key}, "dbgstat": "disabled",
		"measurements": []any{[]any{50, b64(measured)}}, "cnf": map[string]any{"jwk": w.app},
	}
}

func (w *world) signed(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"typ": "eat+jwt", "x5c": x5c(w.chain()...)}
	maps.Copy(all, header)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := jwk.Sign(w.device.key, all, claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func x5c(chain ...*x509.Certificate) (encoded []string) {
	for _, certificate := range chain {
		encoded = append(encoded, base64.StdEncoding.EncodeToString(certificate.Raw))
	}
	return encoded
}

// TestItIsWhatIsWritten: what this package makes says what the package comment says, claim by claim.
func TestItIsWhatIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	parts := strings.Split(w.sign(t, nil), ".")
	for i, want := range []map[string]any{{"alg": "ES256", "typ": "eat+jwt", "x5c": x5c(w.chain()...)}, w.written(t)} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var got, normal any
		wanted, err := json.Marshal(want)
		if err := errors.Join(err, json.Unmarshal(data, &got), json.Unmarshal(wanted, &normal)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(normal, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestWrongEvidence is refused, each for its own reason: without its rule it would be believed.
func TestWrongEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	but := func(change func(*evidence.Claims)) string { return w.sign(t, change) }
	by := func(device *authority, chain ...*x509.Certificate) string {
		text, err := evidence.Sign(device.key, chain, w.claims)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	under := func(by *authority, change func(*x509.Certificate)) *authority {
		return issue(t, by, func(c *x509.Certificate) {
			w.named(c)
			if change != nil {
				change(c)
			}
		})
	}
	strangersRoot := issue(t, nil, isCA)
	stranger := under(strangersRoot, nil)
	selfSigned := under(nil, nil)
	old := under(w.between, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })
	early := under(w.between, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) })
	byADevice := under(w.device, nil) // which is no authority
	authorityItself := issue(t, w.between, func(c *x509.Certificate) { isCA(c); w.named(c); c.KeyUsage |= x509.KeyUsageDigitalSignature })
	alsoAuthority := under(w.between, func(c *x509.Certificate) { c.IsCA = true })
	forOther := under(w.between, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	other := issue(t, w.between, func(c *x509.Certificate) { c.Subject.SerialNumber = "AQcHBw" })
	onP384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherCurve := issueTo(t, w.between, w.device.key, &onP384.PublicKey, w.named)

	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":                        {"", token.ErrForm},
		"no token":                       {"a.b", token.ErrForm},
		"an access token's type":         {w.signed(t, map[string]any{"typ": "at+jwt"}, w.written(t)), token.ErrType},
		"an attestation's type":          {w.signed(t, map[string]any{"typ": "oauth-client-attestation+jwt"}, w.written(t)), token.ErrType},
		"no certificates":                {w.signed(t, map[string]any{"x5c": nil}, w.written(t)), token.ErrHeader},
		"an empty list of them":          {w.signed(t, map[string]any{"x5c": []string{}}, w.written(t)), token.ErrHeader},
		"five of them":                   {w.signed(t, map[string]any{"x5c": slices.Repeat(x5c(w.device.certificate), 5)}, w.written(t)), token.ErrHeader},
		"one that is none":               {w.signed(t, map[string]any{"x5c": []string{"AAAA"}}, w.written(t)), token.ErrHeader},
		"one in base64url":               {w.signed(t, map[string]any{"x5c": []string{"-_-_"}}, w.written(t)), token.ErrHeader},
		"a key in the header alone":      {w.signed(t, map[string]any{"x5c": nil, "jwk": w.app}, w.written(t)), token.ErrHeader},
		"a member that is critical":      {w.signed(t, map[string]any{"crit": []string{"b64"}}, w.written(t)), token.ErrHeader},
		"another maker's":                {by(stranger, stranger.certificate, strangersRoot.certificate), evidence.ErrChain},
		"one's own":                      {by(selfSigned, selfSigned.certificate), evidence.ErrChain},
		"without the intermediate":       {by(w.device, w.device.certificate), evidence.ErrChain},
		"the intermediate first":         {by(w.device, w.between.certificate, w.device.certificate), evidence.ErrDevice},
		"a device's certificate is over": {by(old, old.certificate, w.between.certificate), evidence.ErrChain},
		"it has not begun":               {by(early, early.certificate, w.between.certificate), evidence.ErrChain},
		"certified by a device":          {by(byADevice, byADevice.certificate, w.device.certificate, w.between.certificate), evidence.ErrChain},
		"signed by an authority":         {by(authorityItself, authorityItself.certificate, w.between.certificate), evidence.ErrDevice},
		"that may be one":                {by(alsoAuthority, alsoAuthority.certificate, w.between.certificate), evidence.ErrDevice},
		"a certificate for another use":  {by(forOther, forOther.certificate, w.between.certificate), evidence.ErrDevice},
		"on another curve":               {by(w.device, otherCurve.certificate, w.between.certificate), evidence.ErrDevice},
		"of another device":              {by(other, other.certificate, w.between.certificate), evidence.ErrDevice},
		"another device's signature":     {by(other, w.device.certificate, w.between.certificate), token.ErrSignature},
		"a changed claim":                {changed(t, w.sign(t, nil)), token.ErrSignature},
		"another session":                {but(func(c *evidence.Claims) { c.Nonce = bytes.Repeat([]byte{8}, 32) }), evidence.ErrNonce},
		"a shorter nonce":                {but(func(c *evidence.Claims) { c.Nonce = c.Nonce[:31] }), evidence.ErrNonce},
		"other findings":                 {but(func(c *evidence.Claims) { c.Bound = evidence.Bound(attestation.Findings{}) }), evidence.ErrBound},
		"both the other way round":       {but(func(c *evidence.Claims) { c.Nonce, c.Bound = c.Bound, c.Nonce }), evidence.ErrNonce},
		"a clock that is slow":           {but(func(c *evidence.Claims) { c.Issued = now.Add(-61 * time.Second) }), evidence.ErrTime},
		"a clock that is fast":           {but(func(c *evidence.Claims) { c.Issued = now.Add(61 * time.Second) }), evidence.ErrTime},
		"another device in it":           {but(func(c *evidence.Claims) { c.Device.UEID = append([]byte{1}, make([]byte, 16)...) }), evidence.ErrDevice},
	} {
		if _, err := w.verifier.Verify(c.text, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, change := range map[string]func(*evidence.Verifier){
		"no roots":       func(v *evidence.Verifier) { v.Roots = nil },
		"no revocations": func(v *evidence.Verifier) { v.Revoked = nil },
		"no nonce":       func(v *evidence.Verifier) { v.Nonce = nil },
		"no bound":       func(v *evidence.Verifier) { v.Bound = nil },
	} {
		v := w.verifier
		change(&v)
		if _, err := v.Verify(w.sign(t, nil), now); err == nil {
			t.Errorf("a verifier that has %s believes", name)
		}
	}
	for name, revoked := range map[string]*authority{"the device": w.device, "the intermediate": w.between, "the root": w.root} {
		v := w.verifier
		v.Revoked = func(serial string) bool { return serial == evidence.Serial(revoked.certificate) }
		if _, err := v.Verify(w.sign(t, nil), now); !errors.Is(err, evidence.ErrRevoked) {
			t.Errorf("%s is revoked: %v", name, err)
		}
	}
}

// changed is evidence with another claim than the one that was signed.
func changed(t testing.TB, text string) string {
	t.Helper()
	parts := strings.Split(text, ".")
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(data, []byte(`"locked":true`), []byte(`"locked":false`), 1))
	return strings.Join(parts, ".")
}

// TestEachClaimIsRequired, once and with its type.
func TestEachClaimIsRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.verifier.Verify(w.signed(t, nil, w.written(t)), now); err != nil {
		t.Fatal(err)
	}
	measured := func(text string) any { return []any{[]any{50, base64.RawURLEncoding.EncodeToString([]byte(text))}} }
	app := `{"name":"com.example.app","sha256":"` + strings.Repeat("a1", 32) + `","signer":"` + string(w.claims.Package.Signer) + `"}`
	good := []any{50, base64.RawURLEncoding.EncodeToString([]byte(app))}
	noKey := map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
	for name, values := range map[string][]any{
		"eat_profile":  {"urn:keyladder:eat:other", 7},
		"iat":          {1790000000.5, "1790000000", -1, int64(1) << 50},
		"eat_nonce":    {"AAAAAAAAAAAAAAAA", []string{"AAAAAAAAAAAAAAAA"}, []string{"AAAA", "AAAA"}, []string{"a+b/", "AAAAAAAAAAAAAAAA"}, []any{1, 2}},
		"ueid":         {"", "AQ", 1, "AQ==", "AQcHBwcHBwcHBwcHBwcHBwc\n", base64.RawURLEncoding.EncodeToString(make([]byte, 34))},
		"oemid":        {"32473", 0, 1.5},
		"hwmodel":      {"", base64.RawURLEncoding.EncodeToString(make([]byte, 33)), 1},
		"swname":       {"", 1},
		"swversion":    {"1", []string{}, []string{""}, []string{"1", "2", "3"}},
		"oemboot":      {"true", 1},
		"boot":         {true, map[string]any{}, map[string]any{"locked": true}, map[string]any{"locked": "yes", "key": w.claims.System.Key}, map[string]any{"locked": true, "key": "sha1/x"}},
		"dbgstat":      {"", "off", true},
		"measurements": {[]any{}, []any{[]any{42, "AAAA"}}, measured(`[]`), measured(`{"name":"a","sha256":"b","signer":"c"}`), measured(`{"name":"a"}`), []any{good, good}, []any{[]any{42, good[1]}}, measured(strings.Replace(app, "a1", "A1", 1)), measured(strings.Replace(app, "sha256/", "sha1/", 1)), "x"},
		"cnf":          {map[string]any{}, map[string]any{"jwk": noKey}, map[string]any{"kid": "x"}},
	} {
		for _, value := range append(values, nil) {
			claims := w.written(t)
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
			want := token.ErrClaims
			if text, _ := value.(string); name == "eat_profile" && text != "" {
				want = evidence.ErrProfile
			}
			if _, err := w.verifier.Verify(w.signed(t, nil, claims), now); !errors.Is(err, want) {
				t.Errorf("%s as %v: %v, want %v", name, value, err, want)
			}
			// In another spelling it is another claim, and says nothing.
			claims = w.written(t)
			claims[strings.ToUpper(name)] = value
			if _, err := w.verifier.Verify(w.signed(t, nil, claims), now); err != nil {
				t.Errorf("with another %s: %v", strings.ToUpper(name), err)
			}
		}
	}
}

// TestKeyOf reads what nobody has verified, and what is no evidence.
func TestKeyOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := issue(t, nil, w.named)
	text, err := evidence.Sign(stranger.key, []*x509.Certificate{stranger.certificate}, w.claims)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := evidence.KeyOf(text); err != nil || key != w.app {
		t.Errorf("%v", err)
	}
	without := w.written(t)
	delete(without, "cnf")
	for _, text := range []string{"", "a.b.c", w.signed(t, nil, without)} {
		if key, err := evidence.KeyOf(text); err == nil || key != (jwk.Key{}) {
			t.Errorf("%q has a key", text)
		}
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range []attestation.Findings{{}, {Traced: true}, {Injected: true}, {Unlocked: true}, {OtherSigner: true}, {Intercepted: true}} {
		seen[string(evidence.Bound(f))] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d are different of 6", len(seen))
	}
}

// FuzzVerify: whatever somebody sends, or a device has signed, is believed or refused, and what is
// believed says all that it has to.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	text := w.sign(f, nil)
	claims, err := json.Marshal(w.written(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, claims)
	f.Add(strings.Replace(text, ".", "..", 1), []byte(`{"eat_nonce":null,"measurements":[[50,"e30"]],"cnf":{"jwk":null}}`))
	f.Add("e30.e30.AA", []byte(`[]`))
	f.Fuzz(func(t *testing.T, sent string, claims []byte) {
		if _, err := w.verifier.Verify(sent, now); err == nil && sent != text {
			t.Errorf("believed %q", sent)
		}
		head, err := json.Marshal(map[string]any{"alg": "ES256", "typ": "eat+jwt", "x5c": x5c(w.chain()...)})
		if err != nil {
			t.Fatal(err)
		}
		signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
		signature, err := jwk.SignBytes(w.device.key, []byte(signed))
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.verifier.Verify(signed+"."+base64.RawURLEncoding.EncodeToString(signature), now)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Nonce, w.claims.Nonce) || !bytes.Equal(c.Bound, w.claims.Bound) || c.Device.Model == "" || c.System.Key == "" || c.Package.Name == "" || c.Key == (jwk.Key{}) {
			t.Errorf("%s is believed as %+v", claims, c)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	text := w.sign(b, nil)
	for b.Loop() {
		if _, err := w.verifier.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}
