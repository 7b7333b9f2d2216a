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
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/attestsvc/makers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
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
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	known := must[[]byte](t)(json.Marshal(makers.Known{Systems: []makers.System{{Key: system, Name: "the maker's"}}}))
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
	plant := must[*pki.CA](t)(w.maker.Intermediate("plant"))
	ueid := append([]byte{1}, make([]byte, 16)...)
	rand.Read(ueid[1:])
	certificate, key, err := plant.Device("phone", base64.RawURLEncoding.EncodeToString(ueid))
	if err != nil {
		t.Fatal(err)
	}
	measured := eat.Package{Name: appPackage, Measurement: must[attestation.Measurement](t)(attestation.Measure(strings.NewReader(string(w.pkg)))), Signer: pin.Pin(pinOf(t, developer))}
	return &phone{key: key, chain: []*x509.Certificate{certificate, plant.X509()}, claims: eat.Claims{
		Device: eat.Device{UEID: ueid, OEMID: eat.ExamplePEN, Model: "Keel 1"},
		System: eat.System{Name: "KeelOS", Version: "1", OEM: true, Locked: true, Key: system}, Debug: eat.DebugDisabled, Package: measured,
		Key: must[jwk.Key](t)(jwk.OfSigner(must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))),
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
	return attestation.Evidence{ByDevice: must[string](t)(eat.Sign(p.key, p.chain, c)), Findings: &found}
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
	_, secret, err := w.registry.LookupServers(app + "-servers")
	if err != nil {
		t.Fatal(err)
	}
	c, err := integrity.Verifier{
		Issuer: w.base + "/" + byDevice, Audience: "https://localhost:8447/" + byDevice + "/v1", Leeway: time.Second, Key: only(secret.Signing(w.now()).Text()),
	}.Verify(r.Token, w.now())
	// Whether it is good or not, whoever gets it sees their own key in it.
	for what, text := range map[string]string{"token": r.Token, "client attestation": r.ClientAttestation} {
		body := must[[]byte](t)(base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1]))
		named, errKey := jwk.Confirmed(must[token.Object](t)(token.Members(body)))
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
		"sub": `"` + app + `"`, "iat": "", "exp": "", "cnf": string(must[[]byte](t)(json.Marshal(map[string]jwk.Key{"jwk": key}))), "device": `"device-1"`, "release": "2",
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

// clientAttestation is what one says that the service has signed; nil: it has not.
func (w *world) clientAttestation(t *testing.T, text string) token.Object {
	t.Helper()
	block, _ := pem.Decode(must[[]byte](t)(w.folder(t, deployment.Attestation).Read(deployment.AttesterKeyFile)))
	attester := must[jwk.Key](t)(jwk.OfSigner(must[any](t)(x509.ParsePKCS8PrivateKey(block.Bytes)).(crypto.Signer)))
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
	if shown := w.result(t, result); !shown.Good || shown.Certificate != eat.Serial(p.chain[0]) || shown.Level != catalog.DeviceEvidence {
		t.Errorf("%+v", shown)
	}
	stranger := w.phone(t)
	own := must[*pki.CA](t)(pki.NewRoot("maker"))
	certificate, key, err := own.Device("phone", "AQcHBwcHBwcHBwcHBwcHBwc")
	if err != nil {
		t.Fatal(err)
	}
	stranger.key, stranger.chain = key, []*x509.Certificate{certificate, own.X509()}
	for name, tt := range map[string]struct {
		phone  *phone
		change func(*eat.Claims)
	}{
		"an unlocked device": {p, func(c *eat.Claims) { c.System.Locked, c.System.OEM = false, false }},
		"another system":     {p, func(c *eat.Claims) { c.System.Key = free }},
		"another package":    {p, func(c *eat.Claims) { c.Package.Measurement = attestation.Measurement(strings.Repeat("0", 64)) }},
		"a debugger":         {p, func(c *eat.Claims) { c.Debug = eat.DebugEnabled }},
		"another session":    {p, func(c *eat.Claims) { c.Nonce = make([]byte, 32) }},
		"other findings":     {p, func(c *eat.Claims) { c.Bound = eat.Bound(attestation.Findings{Traced: true}) }},
		"a device of nobody": {stranger, nil},
	} {
		failing, result := w.asksPhone(t, tt.phone, tt.change)
		if w.bound(t, result, tt.phone.claims.Key) != nil {
			t.Errorf("%s is good", name)
		}
		if want, got := must[[]byte](t)(json.Marshal(right.shape(t))), must[[]byte](t)(json.Marshal(failing.shape(t))); string(want) != string(got) {
			t.Errorf("%s:\n%s, and a good one\n%s", name, got, want)
		}
		if shown := w.result(t, result); shown.Good || !slices.ContainsFunc(shown.Claims, func(c manage.AttestedClaim) bool { return len(c.Findings) > 0 }) {
			t.Errorf("%s: %+v", name, shown)
		}
	}
	session := w.opens(t, byDevice, mine())
	junk, result := w.sends(t, session.path, attestation.Evidence{ByDevice: "a.b.c", Findings: &attestation.Findings{}})
	if want, got := must[[]byte](t)(json.Marshal(right.shape(t))), must[[]byte](t)(json.Marshal(junk.shape(t))); string(want) != string(got) || w.clientAttestation(t, result.ClientAttestation) != nil {
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
	for name, certificate := range map[string]*x509.Certificate{"the device": one.chain[0], "the plant": one.chain[1]} {
		serial := eat.Serial(certificate)
		found := must[manage.DeviceCertificate](t)(manage.RevokeCertificate(ctx, w.admin, manage.CertificateToRevoke{Serial: serial}))
		if found.RevokedAt == nil || passes(one, nil) || !passes(other, nil) {
			t.Errorf("%s is revoked: %+v", name, found)
		}
		w.reopen(t)
		if passes(one, nil) {
			t.Errorf("%s is revoked, and is not after a restart", name)
		}
		found = must[manage.DeviceCertificate](t)(manage.RevokeCertificate(ctx, w.admin, manage.CertificateToRevoke{Serial: serial, Restore: true}))
		if found.RevokedAt != nil || len(found.History) != 2 || !passes(one, nil) {
			t.Errorf("%s is accepted again: %+v", name, found)
		}
	}
	onFree := func(c *eat.Claims) { c.System.Key, c.System.OEM = free, false }
	if passes(one, onFree) {
		t.Error("a system of somebody's is accepted")
	}
	let := must[manage.AcceptedSystem](t)(manage.AcceptSystem(ctx, w.admin, manage.SystemToAccept{Key: string(free), Name: "a free one"}))
	if !passes(one, onFree) || passes(one, func(c *eat.Claims) { onFree(c); c.System.Locked = false }) {
		t.Errorf("a system that was let in: %+v", let)
	}
	must[manage.AcceptedSystem](t)(manage.AcceptSystem(ctx, w.admin, manage.SystemToAccept{Key: string(free), Withdraw: true}))
	if passes(one, onFree) || !passes(one, nil) {
		t.Error("a system that was withdrawn")
	}
	if all := must[[]manage.AcceptedSystem](t)(manage.Systems(ctx, w.admin)); len(all) != 2 {
		t.Errorf("%+v", all)
	}
	if all := must[[]manage.DeviceCertificate](t)(manage.DeviceCertificates(ctx, w.admin)); len(all) != 2 {
		t.Errorf("%+v", all)
	}
	for _, wrong := range []manage.CertificateToRevoke{{}, {Serial: "x"}, {Serial: "abc", Restore: true}} {
		if _, err := manage.RevokeCertificate(ctx, w.admin, wrong); err == nil {
			t.Errorf("%+v is revoked", wrong)
		}
	}
	for _, wrong := range []manage.SystemToAccept{{}, {Key: "x"}, {Key: string(system[:20])}} {
		if _, err := manage.AcceptSystem(ctx, w.admin, wrong); err == nil {
			t.Errorf("%+v is accepted", wrong)
		}
	}
}

// TestOldDeployments know no makers: they go on, unless a stage needs one.
func TestOldDeployments(t *testing.T) {
	t.Parallel()
	w := &world{old: true}
	w.deploy(t)
	w.stages = catalog.All()
	if err := w.tryOpen(t); err != nil {
		t.Error(err)
	}
	i := slices.IndexFunc(w.stages, func(s catalog.Stage) bool { return s.Slug == byDevice })
	w.stages[i].Built = true
	if err := w.tryOpen(t); err == nil || !strings.Contains(err.Error(), "stages reset") {
		t.Errorf("it starts without what the stage needs: %v", err)
	}
}
