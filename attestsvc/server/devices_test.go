package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/attestsvc/makers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/clientattestation"
	eat "keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/token"
)

// byDevice is a stage at which devices say what the app is.
const byDevice = "device-bound"

// system is the key that the maker signs systems with, and free is somebody else's.
const (
	system = pin.Pin("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	free   = pin.Pin("sha256/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=")
)

// writeMaker writes what an attestation service knows of makers, and the key of its client attestations.
func (w *world) writeMaker(t testing.TB, writer *deployment.Writer) error {
	t.Helper()
	if w.old || writer.Role() != deployment.Attestation {
		return nil
	}
	key := testenv.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := testenv.Must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	known := testenv.Must[[]byte](t)(json.Marshal(makers.Known{Systems: []makers.System{{Key: system, Name: "the maker's"}}}))
	return errors.Join(
		writer.File(makers.RootsFile, w.maker.Certificate), writer.File(makers.KnownFile, known),
		writer.File(deployment.AttesterKeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// startDevices is start where the stage is built at which devices are asked.
func startDevices(t *testing.T) *world {
	t.Helper()
	w := deploy(t)
	w.stages = catalog.All()
	i := slices.IndexFunc(w.stages, func(s catalog.Stage) bool { return s.Slug == byDevice })
	w.stages[i].Built = true
	w.open(t)
	return w
}

// phone is a device, with an app on it that has a key.
type phone struct {
	key    *ecdsa.PrivateKey
	chain  []*x509.Certificate
	claims eat.Claims
}

func (w *world) phone(t *testing.T) *phone {
	t.Helper()
	plant := testenv.Must[*pki.CA](t)(w.maker.Intermediate("plant"))
	ueid := append([]byte{1}, make([]byte, 16)...)
	rand.Read(ueid[1:])
	certificate, key, err := plant.Device("phone", base64.RawURLEncoding.EncodeToString(ueid))
	if err != nil {
		t.Fatal(err)
	}
	measured := eat.Package{Name: appPackage, Measurement: testenv.Must[attestation.Measurement](t)(attestation.Measure(strings.NewReader(string(w.pkg)))), Signer: pin.Pin(pinOf(t, developer))}
	return &phone{key: key, chain: []*x509.Certificate{certificate, plant.X509()}, claims: eat.Claims{
		Device: eat.Device{UEID: ueid, OEMID: eat.ExamplePEN, Model: "Keel 1"},
		System: eat.System{Name: "KeelOS", Version: "1", OEM: true, Locked: true, Key: system}, Debug: eat.DebugDisabled, Package: measured,
		Key: testenv.Must[jwk.Key](t)(jwk.OfSigner(testenv.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))),
	}}
}

func (p *phone) says(t *testing.T, nonce []byte, at time.Time, change func(*eat.Claims)) attestation.Evidence {
	t.Helper()
	found := attestation.Findings{}
	c := p.claims
	c.Issued, c.Nonce, c.Bound = at, nonce, eat.Bound(found)
	if change != nil {
		change(&c)
	}
	return attestation.Evidence{ByDevice: testenv.Must[string](t)(eat.Sign(p.key, p.chain, c)), Findings: &found}
}

// asksPhone goes through a session with evidence of a device.
func (w *world) asksPhone(t *testing.T, p *phone, change func(*eat.Claims)) (answered, attestation.Result) {
	t.Helper()
	session := w.opens(t, byDevice, mine())
	if !session.ForDevice() {
		t.Fatalf("what is asked is %+v", session.Challenge)
	}
	return w.sends(t, session.path, p.says(t, session.Nonce, w.now(), change))
}

func (w *world) sends(t *testing.T, path string, e attestation.Evidence) (answered, attestation.Result) {
	t.Helper()
	r := w.call(t, http.MethodPost, path, e)
	result := decoded[attestation.Session](t, r, http.StatusOK).Result
	return answered{reply: r, token: result.Token}, *result
}

// bound is what a token says, which names that key; nil: it is good nowhere.
func (w *world) bound(t *testing.T, r attestation.Result, key jwk.Key) *integrity.Claims {
	t.Helper()
	c, err := w.verifyBound(t, r)
	// Whether it is good or not, whoever gets it sees their own key in it.
	for what, text := range map[string]string{"token": r.Token, "client attestation": r.ClientAttestation} {
		body := testenv.Must[[]byte](t)(base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1]))
		named, errKey := jwk.Confirmed(testenv.Must[token.Object](t)(token.Members(body)))
		if errKey != nil || named != key {
			t.Errorf("the %s names another key: %v", what, errKey)
		}
	}
	attested := w.clientAttestation(t, r.ClientAttestation)
	if (err == nil) != (attested != nil) {
		t.Errorf("the token is good: %v, and the client attestation %v", err == nil, attested != nil)
	}
	if err != nil {
		return nil
	}
	if c.Key != key {
		t.Error("the token is bound to another key")
	}
	want := map[string]string{
		"sub": `"` + app + `"`, "iat": "", "exp": fmt.Sprint(c.Expires.Unix()), "cnf": string(testenv.Must[[]byte](t)(json.Marshal(map[string]jwk.Key{"jwk": key}))), "device": `"device-1"`, "release": "2",
	}
	if !slices.Equal(slices.Sorted(maps.Keys(attested)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("a client attestation says %s", attested)
	}
	for name, value := range want {
		if value != "" && string(attested[name]) != value {
			t.Errorf("%s is %s, want %s", name, attested[name], value)
		}
	}
	return &c
}

// verifyBound verifies a token as a server does at that stage.
func (w *world) verifyBound(t *testing.T, r attestation.Result) (integrity.Claims, error) {
	t.Helper()
	_, secret, err := w.registry.LookupServers(app + "-servers")
	if err != nil {
		t.Fatal(err)
	}
	return integrity.Verifier{
		Issuer: w.base + "/" + byDevice, Audience: "https://localhost:8447/" + byDevice + "/v1", Leeway: time.Second, Key: only(secret.Signing(w.now()).Text()),
	}.Verify(r.Token, w.now())
}

// clientAttestation is what one says that the service has signed; nil: it has not.
func (w *world) clientAttestation(t *testing.T, text string) token.Object {
	t.Helper()
	block, _ := pem.Decode(testenv.Must[[]byte](t)(w.folder(t, deployment.Attestation).Read(deployment.AttesterKeyFile)))
	attester := testenv.Must[jwk.Key](t)(jwk.OfSigner(testenv.Must[any](t)(x509.ParsePKCS8PrivateKey(block.Bytes)).(crypto.Signer)))
	said, err := jwk.Open(text, clientattestation.Type, func(header token.Object) (jwk.Key, error) {
		if id, err := header.Text("kid"); err != nil || id != attester.Thumbprint() {
			t.Errorf("kid is %q, %v", id, err)
		}
		return attester, nil
	})
	if err != nil && !errors.Is(err, token.ErrSignature) {
		t.Error(err)
	}
	return said
}

// TestDevicesAttest what is good, and whatever else they say gets an answer that looks the same.
func TestDevicesAttest(t *testing.T) {
	t.Parallel()
	w := startDevices(t)
	p := w.phone(t)
	right, result := w.asksPhone(t, p, nil)
	if w.bound(t, result, p.claims.Key) == nil {
		t.Fatal("a genuine app on a genuine device fails")
	}
	shown := w.result(t, result)
	said := manage.DeviceEvidence{
		At: shown.Said.At, Device: base64.RawURLEncoding.EncodeToString(p.claims.Device.UEID), Maker: eat.ExamplePEN, Model: "Keel 1",
		System: "KeelOS", Version: "1", OEM: true, Locked: true, SystemKey: string(system), Accepted: true, Debug: "disabled",
		Package: appPackage, Measurement: string(p.claims.Package.Measurement), Signer: pinOf(t, developer),
		Certificates: []manage.ChainCertificate{
			{Serial: eat.Serial(p.chain[0]), Name: "phone"}, {Serial: eat.Serial(p.chain[1]), Name: "plant"}, {Serial: eat.Serial(w.maker.X509()), Name: "maker"},
		},
	}
	if diff := cmp.Diff(&said, shown.Said); !shown.Good || shown.Level != catalog.DeviceEvidence || *shown.Holder != p.claims.Key || diff != "" {
		t.Errorf("%+v\n%s", shown, diff)
	}
	if off := w.now().Sub(shown.Said.At); off.Abs() > time.Minute {
		t.Errorf("it was said %s ago", off)
	}
	stranger := w.phone(t)
	own := testenv.Must[*pki.CA](t)(pki.NewRoot("maker"))
	certificate, key, err := own.Device("phone", "AQcHBwcHBwcHBwcHBwcHBwc")
	if err != nil {
		t.Fatal(err)
	}
	stranger.key, stranger.chain = key, []*x509.Certificate{certificate, own.X509()}
	for name, tt := range map[string]struct {
		phone  *phone
		change func(*eat.Claims)

		believed bool // though it fails
	}{
		"an unlocked device": {phone: p, believed: true, change: func(c *eat.Claims) { c.System.Locked, c.System.OEM = false, false }},
		"another system":     {phone: p, believed: true, change: func(c *eat.Claims) { c.System.Key = free }},
		"another package":    {phone: p, believed: true, change: func(c *eat.Claims) { c.Package.Measurement = attestation.Measurement(strings.Repeat("0", 64)) }},
		"a debugger":         {phone: p, believed: true, change: func(c *eat.Claims) { c.Debug = eat.DebugEnabled }},
		"another session":    {phone: p, change: func(c *eat.Claims) { c.Nonce = make([]byte, 32) }},
		"other findings":     {phone: p, change: func(c *eat.Claims) { c.Bound = eat.Bound(attestation.Findings{Traced: true}) }},
		"a device of nobody": {phone: stranger},
	} {
		failing, result := w.asksPhone(t, tt.phone, tt.change)
		if w.bound(t, result, tt.phone.claims.Key) != nil {
			t.Errorf("%s is good", name)
		}
		if want, got := testenv.Must[[]byte](t)(json.Marshal(right.shape(t))), testenv.Must[[]byte](t)(json.Marshal(failing.shape(t))); string(want) != string(got) {
			t.Errorf("%s:\n%s, and a good one\n%s", name, got, want)
		}
		shown := w.result(t, result)
		if shown.Good || *shown.Holder != tt.phone.claims.Key || !slices.ContainsFunc(shown.Claims, func(c manage.AttestedClaim) bool { return len(c.Findings) > 0 }) {
			t.Errorf("%s: %+v", name, shown)
		}
		if believed := shown.Said != nil; believed != tt.believed || believed && shown.Said.Accepted != (shown.Said.SystemKey == string(system)) {
			t.Errorf("%s: what it said is %+v", name, shown.Said)
		}
	}
	session := w.opens(t, byDevice, mine())
	junk, result := w.sends(t, session.path, attestation.Evidence{ByDevice: "a.b.c", Findings: &attestation.Findings{}})
	if want, got := testenv.Must[[]byte](t)(json.Marshal(right.shape(t))), testenv.Must[[]byte](t)(json.Marshal(junk.shape(t))); string(want) != string(got) || w.clientAttestation(t, result.ClientAttestation) != nil {
		t.Errorf("what is no evidence:\n%s, and a good one\n%s", got, want)
	}
	// At other stages nothing is said of keys.
	if r := w.attests(t, byChallenge, mine(), w.pkg, attestation.Findings{}); r.ClientAttestation != "" || !w.good(t, byChallenge, r.Token) {
		t.Errorf("%+v", r)
	}
}

// TestWhatIsRevokedFails from the next attestation on: a device, all that a plant has made, a system. It
// is good again when it is accepted again.
func TestWhatIsRevokedFails(t *testing.T) {
	t.Parallel()
	w := startDevices(t)
	one, other := w.phone(t), w.phone(t)
	passes := func(p *phone, change func(*eat.Claims)) bool {
		_, result := w.asksPhone(t, p, change)
		return w.bound(t, result, p.claims.Key) != nil
	}
	ctx := t.Context()
	for name, certificate := range map[string]*x509.Certificate{"the device": one.chain[0], "the plant": one.chain[1], "the maker": w.maker.X509()} {
		serial := eat.Serial(certificate)
		found := testenv.Must[manage.DeviceCertificate](t)(manage.RevokeCertificate(ctx, w.admin, manage.CertificateToRevoke{Serial: serial}))
		if found.RevokedAt == nil || passes(one, nil) || passes(other, nil) == (name == "the maker") {
			t.Errorf("%s is revoked: %+v", name, found)
		}
		w.reopen(t)
		if passes(one, nil) {
			t.Errorf("%s is revoked, and is not after a restart", name)
		}
		found = testenv.Must[manage.DeviceCertificate](t)(manage.RevokeCertificate(ctx, w.admin, manage.CertificateToRevoke{Serial: serial, Restore: true}))
		if found.RevokedAt != nil || found.History[len(found.History)-1].What != "accepted again" || !passes(one, nil) {
			t.Errorf("%s is accepted again: %+v", name, found)
		}
	}
	onFree := func(c *eat.Claims) { c.System.Key, c.System.OEM = free, false }
	if passes(one, onFree) {
		t.Error("a system of somebody's is accepted")
	}
	let := testenv.Must[manage.AcceptedSystem](t)(manage.AcceptSystem(ctx, w.admin, manage.SystemToAccept{Key: string(free), Name: "a free one"}))
	if !passes(one, onFree) || passes(one, func(c *eat.Claims) { onFree(c); c.System.Locked = false }) {
		t.Errorf("a system that was let in: %+v", let)
	}
	testenv.Must[manage.AcceptedSystem](t)(manage.AcceptSystem(ctx, w.admin, manage.SystemToAccept{Key: string(free), Withdraw: true}))
	if passes(one, onFree) || !passes(one, nil) {
		t.Error("a system that was withdrawn")
	}
	if all := testenv.Must[[]manage.AcceptedSystem](t)(manage.Systems(ctx, w.admin)); len(all) != 2 {
		t.Errorf("%+v", all)
	}
	if all := testenv.Must[[]manage.DeviceCertificate](t)(manage.DeviceCertificates(ctx, w.admin)); len(all) != 3 || !all[0].Root || all[0].Name != "maker" {
		t.Errorf("%+v", all)
	}
	for _, serial := range []string{eat.Serial(one.chain[0]), eat.Serial(other.chain[0])} {
		if some := testenv.Must[[]manage.DeviceCertificate](t)(manage.DeviceCertificates(ctx, w.admin, serial)); len(some) == 1 != (serial == eat.Serial(one.chain[0])) {
			t.Errorf("by its serial number: %+v", some)
		}
	}
	for _, wrong := range []manage.CertificateToRevoke{{}, {Serial: "x"}, {Serial: "abc", Restore: true}} {
		if _, err := manage.RevokeCertificate(ctx, w.admin, wrong); err == nil {
			t.Errorf("%+v is revoked", wrong)
		}
	}
	for _, wrong := range []manage.SystemToAccept{{}, {Key: "x", Name: "x"}, {Key: string(system[:20]), Name: "x"}, {Key: strings.Replace(string(free), "BBA=", "BBE=", 1)}} {
		if _, err := manage.AcceptSystem(ctx, w.admin, wrong); err == nil {
			t.Errorf("%+v is accepted", wrong)
		}
	}
}

// TestRevocationTakesOneLifetime of a client integrity token, whatever is revoked: the token that an app
// has is good until it expires, and there is no other one.
func TestRevocationTakesOneLifetime(t *testing.T) {
	t.Parallel()
	w := startDevices(t)
	ctx, p := t.Context(), w.phone(t)
	sha256 := string(p.claims.Package.Measurement)
	for name, revoke := range map[string]func(restore bool) error{
		"the device's key": func(restore bool) error {
			// From what its last attestation has left, as the admin finds it.
			devices, err := manage.AttestedDevices(ctx, w.admin, manage.AttestedDeviceQuery{Search: eat.Serial(p.chain[0])})
			if err != nil || devices.Total != 1 {
				return fmt.Errorf("devices with that certificate: %+v, %w", devices, err)
			}
			_, err = manage.RevokeCertificate(ctx, w.admin, manage.CertificateToRevoke{Serial: devices.Devices[0].Certificate, Restore: restore})
			return err
		},
		"its plant": func(restore bool) error {
			_, err := manage.RevokeCertificate(ctx, w.admin, manage.CertificateToRevoke{Serial: eat.Serial(p.chain[1]), Restore: restore})
			return err
		},
		"the release": func(restore bool) error {
			_, err := manage.WithdrawReference(ctx, w.admin, sha256, restore)
			return err
		},
		"the signer of the release": func(restore bool) error {
			return w.admin.Do(ctx, http.MethodPost, manage.SignersPath, manage.SignerToAccept{Client: app, Signer: pinOf(t, developer), Withdraw: !restore}, nil)
		},
		"the system": func(restore bool) error {
			_, err := manage.AcceptSystem(ctx, w.admin, manage.SystemToAccept{Key: string(system), Withdraw: !restore})
			return err
		},
	} {
		_, before := w.asksPhone(t, p, nil)
		if w.bound(t, before, p.claims.Key) == nil {
			t.Fatalf("before %s is revoked it fails", name)
		}
		lifetime := time.Duration(before.ExpiresIn) * time.Second
		if err := revoke(false); err != nil {
			t.Fatalf("revoke %s: %v", name, err)
		}
		w.advance(lifetime - 5*time.Second)
		if w.bound(t, before, p.claims.Key) == nil {
			t.Errorf("%s is revoked: the token that it has ends before its time", name)
		}
		w.advance(5 * time.Second)
		_, after := w.asksPhone(t, p, nil)
		if _, err := w.verifyBound(t, before); !errors.Is(err, token.ErrExpired) || w.bound(t, after, p.claims.Key) != nil {
			t.Errorf("%s is revoked, and a lifetime later there is a good token: %v", name, err)
		}
		if shown := w.result(t, after); !slices.ContainsFunc(shown.Claims, func(c manage.AttestedClaim) bool { return c.Trust == manage.Contraindicated }) {
			t.Errorf("%s is revoked, and it fails for another reason: %+v", name, shown)
		}
		if err := revoke(true); err != nil {
			t.Fatalf("accept %s again: %v", name, err)
		}
	}
}

// TestOldDeployments know no makers: they go on, unless a stage needs one.
func TestOldDeployments(t *testing.T) {
	t.Parallel()
	w := &world{old: true}
	w.deploy(t)
	w.stages = catalog.All()
	for i := range w.stages {
		w.stages[i].Built = w.stages[i].Built && w.stages[i].Attestation.Level != catalog.DeviceEvidence
	}
	if err := w.tryOpen(t); err != nil {
		t.Error(err)
	}
	i := slices.IndexFunc(w.stages, func(s catalog.Stage) bool { return s.Slug == byDevice })
	w.stages[i].Built = true
	if err := w.tryOpen(t); err == nil || !strings.Contains(err.Error(), "stages reset") {
		t.Errorf("it starts without what the stage needs: %v", err)
	}
}
