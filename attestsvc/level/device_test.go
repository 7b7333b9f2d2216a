package level_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/attestsvc/level"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// device is one with what a verifier needs to believe it.
type device struct {
	chain []*x509.Certificate
	sign  func(change func(*evidence.Claims), found attestation.Findings) string
	trust level.Trust
	nonce []byte
}

const accepted = pin.Pin("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")

func newDevice(t testing.TB) device {
	t.Helper()
	root := testenv.Must[*pki.CA](t)(pki.NewRoot("maker"))
	certificate, key, err := root.Device("device", "AQcHBwcHBwcHBwcHBwcHBwc")
	if err != nil {
		t.Fatal(err)
	}
	d := device{chain: []*x509.Certificate{certificate}, nonce: bytes.Repeat([]byte{5}, 32)}
	roots := x509.NewCertPool()
	roots.AddCert(root.X509())
	d.trust = level.Trust{Roots: roots, Revoked: func(string) bool { return false }, Accepts: func(key pin.Pin) bool { return key == accepted }}
	d.sign = func(change func(*evidence.Claims), found attestation.Findings) string {
		c := evidence.Claims{
			Issued: time.Now(), Nonce: d.nonce, Bound: evidence.Bound(found),
			Device: evidence.Device{UEID: append([]byte{1}, bytes.Repeat([]byte{7}, 16)...), OEMID: evidence.ExamplePEN, Model: "Keel 1"},
			System: evidence.System{Name: "KeelOS", Version: "1", OEM: true, Locked: true, Key: accepted}, Debug: evidence.DebugDisabled,
			Package: evidence.Package{Name: "com.example.app", Measurement: hash, Signer: accepted}, Key: testenv.Must[jwk.Key](t)(jwk.OfSigner(key)),
		}
		if change != nil {
			change(&c)
		}
		return testenv.Must[string](t)(evidence.Sign(key, d.chain, c))
	}
	return d
}

// TestWhatDevicesSay is found, each in the claim that it belongs to. What is not believed says nothing
// about any of them.
func TestWhatDevicesSay(t *testing.T) {
	t.Parallel()
	d, stranger := newDevice(t), newDevice(t)
	all := manage.ClaimNames()
	changed := func(change func(*evidence.Claims)) string { return d.sign(change, attestation.Findings{}) }
	for name, tt := range map[string]struct {
		text  string
		found attestation.Findings
		trust func(*level.Trust)
		want  []manage.ClaimName
	}{
		"nothing":                 {text: changed(nil)},
		"a debugger":              {text: changed(func(c *evidence.Claims) { c.Debug = evidence.DebugEnabled }), want: []manage.ClaimName{manage.Runtime}},
		"an unlocked device":      {text: changed(func(c *evidence.Claims) { c.System.Locked, c.System.OEM = false, false }), want: []manage.ClaimName{manage.Configuration}},
		"somebody else's system":  {text: changed(func(c *evidence.Claims) { c.System.Key = "sha256/" + pin.Pin(strings.Repeat("B", 42)) + "A=" }), want: []manage.ClaimName{manage.Configuration}},
		"one that was let in":     {text: changed(func(c *evidence.Claims) { c.System.OEM = false }), trust: func(tr *level.Trust) { tr.Accepts = func(pin.Pin) bool { return true } }},
		"the maker's, taken back": {text: changed(nil), trust: func(tr *level.Trust) { tr.Accepts = func(pin.Pin) bool { return false } }, want: []manage.ClaimName{manage.Configuration}},
		"what the app found":      {text: d.sign(nil, attestation.Findings{Traced: true, Unlocked: true, OtherSigner: true}), found: attestation.Findings{Traced: true, Unlocked: true, OtherSigner: true}, want: []manage.ClaimName{manage.Executables, manage.Runtime, manage.Configuration}},
		"hidden findings":         {text: d.sign(nil, attestation.Findings{Traced: true}), want: all},
		"another session":         {text: changed(func(c *evidence.Claims) { c.Nonce = bytes.Repeat([]byte{6}, 32) }), want: all},
		"an old one":              {text: changed(func(c *evidence.Claims) { c.Issued = time.Now().Add(-time.Hour) }), want: all},
		"another maker's":         {text: stranger.sign(nil, attestation.Findings{}), want: all},
		"a revoked certificate":   {text: changed(nil), trust: func(tr *level.Trust) { tr.Revoked = func(s string) bool { return s == evidence.Serial(d.chain[0]) } }, want: all},
		"something else":          {text: "a.b.c", want: all},
	} {
		trust := d.trust
		if tt.trust != nil {
			tt.trust(&trust)
		}
		at := of(t, catalog.DeviceEvidence)
		e, said := at.Examine(attestation.Evidence{Findings: &tt.found, ByDevice: tt.text}, d.nonce, trust, time.Now())
		if (said.Fault == nil) != (e.Measurement == hash) || (said.Fault == nil) != (len(said.Claims.Chain) > 0 && said.Claims.Chain[0].Equal(d.chain[0])) {
			t.Errorf("%s: %q was measured, %+v", name, e.Measurement, said)
		}
		verdict := testenv.Must[level.Verdict](t)(at.Appraise(e, level.Case{Published: e.Measurement == hash, Said: said}))
		got := slices.Sorted(maps.Keys(verdict))
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: wrong is %+v, want %s", name, verdict, tt.want)
		}
	}
	found := attestation.Findings{}
	for _, name := range []catalog.Level{catalog.PackageHash, catalog.PackageChallenge} {
		if e, said := of(t, name).Examine(attestation.Evidence{Measurement: hash, Findings: &found}, nil, level.Trust{}, time.Now()); e.Measurement != hash || said.Fault != nil {
			t.Errorf("%s looks into %+v", name, said)
		}
	}
}

func TestReadOfDevices(t *testing.T) {
	t.Parallel()
	at := of(t, catalog.DeviceEvidence)
	if e, err := at.Read([]byte(`{"evidence":"a.b.c","findings":{"traced":true}}`)); err != nil || e.ByDevice != "a.b.c" || !e.Findings.Traced {
		t.Errorf("%+v, %v", e, err)
	}
	for _, body := range []string{
		``, `{}`, `{"evidence":"a.b.c"}`, `{"findings":{}}`, `{"evidence":"","findings":{}}`, `{"evidence":"a.b","findings":{}}`, `{"evidence":1,"findings":{}}`,
		`{"evidence":"a.b.c","findings":{},"measurement":"` + hash + `"}`, `{"evidence":"a.b.c","findings":{},"answer":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
		`{"evidence":"a.b.` + strings.Repeat("c", jwk.MaxLength) + `","findings":{}}`, `{"evidence":"a.b.c","findings":{},"good":true}`,
	} {
		if e, err := at.Read([]byte(body)); !errors.Is(err, level.ErrMalformed) {
			t.Errorf("%.100s: %+v, %v", body, e, err)
		}
	}
	for _, name := range []catalog.Level{catalog.PackageHash, catalog.PackageChallenge} {
		if _, err := of(t, name).Read([]byte(`{"evidence":"a.b.c","findings":{}}`)); !errors.Is(err, level.ErrMalformed) {
			t.Errorf("%s reads it: %v", name, err)
		}
	}
}

// FuzzReadOfDevices: what is read can be looked into and appraised, whatever it is, and only what the device has signed is believed.
func FuzzReadOfDevices(f *testing.F) {
	d := newDevice(f)
	text := d.sign(nil, attestation.Findings{})
	f.Add([]byte(`{"evidence":"` + text + `","findings":{}}`))
	f.Add([]byte(`{"evidence":"e30.e30.AA","findings":{"traced":true}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		at := of(t, catalog.DeviceEvidence)
		read, err := at.Read(body)
		if err != nil {
			if !errors.Is(err, level.ErrMalformed) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		e, said := at.Examine(read, d.nonce, d.trust, time.Now())
		if said.Fault == nil && e.ByDevice != text {
			t.Errorf("%q is believed", body)
		}
		if _, err := at.Appraise(e, level.Case{Said: said}); err != nil {
			t.Errorf("%q is read, and can't be appraised: %v", body, err)
		}
		again, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.Read(again); err != nil {
			t.Errorf("%q is read as %s, which is not: %v", body, again, err)
		}
	})
}
