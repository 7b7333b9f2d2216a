package device

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/factory"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// maker makes devices, and is whom verifiers believe.
type maker struct {
	root, plant *pki.CA
	system      pin.Pin
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	root, err := pki.NewRoot("maker")
	if err != nil {
		t.Fatal(err)
	}
	plant, err := root.Intermediate("plant")
	if err != nil {
		t.Fatal(err)
	}
	return &maker{root, plant, pin.Of(root.X509())}
}

// equip gives the device that is going to be made secure hardware.
func (m *maker) equip(t *testing.T) func(*Config) {
	return func(c *Config) {
		t.Helper()
		if err := factory.New(m.plant, m.system).Make(HardwareFolder(c.Dir)); err != nil {
			t.Fatal(err)
		}
	}
}

const session = "a nonce of a session"

// evidence is what a verifier makes of an app's.
func (m *maker) evidence(t *testing.T, app *App) evidence.Claims {
	t.Helper()
	return m.verified(t, do[string](t, app, "evidence "+session))
}

func (m *maker) verified(t *testing.T, text string) evidence.Claims {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(m.root.X509())
	claims, err := evidence.Verifier{
		Roots: roots, Revoked: func(string) bool { return false }, Nonce: []byte(session), Bound: evidence.Bound(attestation.Findings{}), Within: time.Minute,
	}.Verify(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// key is an app's key, with which it signs.
func key(t *testing.T, app *App) jwk.Key {
	t.Helper()
	public, signature := do[jwk.Key](t, app, "key"), do[[]byte](t, app, "sign text")
	if !public.Verify([]byte("text"), signature) || public.Verify([]byte("another"), signature) {
		t.Error("it signs with another key than its own, or something else")
	}
	return public
}

// signerOf is an impostor that signs as Go has it.
type signerOf struct {
	impostor *Impostor
	public   jwk.Key
}

func (s signerOf) Public() crypto.PublicKey { return s.public.Public() }

func (s signerOf) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.impostor.Sign(digest)
}

func TestEachAppHasAKey(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	m, dir := newMaker(t), t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	d := newDevice(t, inDir, m.equip(t))
	v1 := packaged(t, developer, release.Manifest{Release: 1}, "")
	name := install(t, d, v1).Name
	other := install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.other"}, "")).Name

	app := launch(t, d, name)
	first := key(t, app)
	if again := key(t, app); again != first {
		t.Error("it has another the next time")
	}
	if key(t, launch(t, d, other)) == first {
		t.Error("another app has the same")
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if key(t, launch(t, d, name)) != first {
		t.Error("it has another after its restart")
	}
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	if key(t, launch(t, d, name)) != first {
		t.Error("it has another after an update")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = newDevice(t, inDir, m.equip(t))
	if key(t, launch(t, d, name)) != first {
		t.Error("it has another after the device's restart")
	}
	if err := errors.Join(d.Uninstall(name), d.AllowSideloading(true)); err != nil {
		t.Fatal(err)
	}
	install(t, d, packaged(t, stranger, release.Manifest{}, ""))
	if key(t, launch(t, d, name)) == first {
		t.Error("one of that name by somebody else has the same")
	}
	if err := d.Uninstall(name); err != nil {
		t.Fatal(err)
	}
	install(t, d, v1)
	if key(t, launch(t, d, name)) == first {
		t.Error("it survived that the app was uninstalled")
	}
}

// TestAChangedPackageHasNoKey: neither one that was changed, which does not start, nor one that was
// replaced while it ran.
func TestAChangedPackageHasNoKey(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	m := newMaker(t)
	d := newDevice(t, m.equip(t))
	name := install(t, d, packaged(t, developer, release.Manifest{}, "")).Name
	app := launch(t, d, name)
	asking := &system{app: app}
	var public jwk.Key
	if err := asking.Key(sdk.None{}, &public); err != nil || public != key(t, app) {
		t.Fatalf("%v, %v", public, err)
	}
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	var text string
	var signature []byte
	for what, err := range map[string]error{
		"its key": asking.Key(sdk.None{}, &public), "a signature": asking.Sign(make([]byte, 32), &signature), "evidence": asking.Evidence(sdk.Asked{}, &text),
	} {
		if !errors.Is(err, ErrChanged) {
			t.Errorf("one that was replaced gets %s: %v", what, err)
		}
	}
}

// TestEvidence says what the device has measured, whatever the app would like it to say.
func TestEvidence(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	m := newMaker(t)
	d := newDevice(t, m.equip(t))
	installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
	app := launch(t, d, installed.Name)
	signer, err := pin.OfKey(developer.Public())
	if err != nil {
		t.Fatal(err)
	}
	c := m.evidence(t, app)
	if c.Package != (evidence.Package{Name: installed.Name, Measurement: attestation.Measurement(installed.SHA256), Signer: signer}) {
		t.Errorf("the package is %+v", c.Package)
	}
	if c.Key != key(t, app) || c.Debug != evidence.DebugDisabled || c.Device.Model != factory.Model || string(c.Nonce) != session {
		t.Errorf("%+v", c)
	}
	shipped := hardware.MakersSystem(true)
	shipped.OEM, shipped.Key = true, m.system
	if c.System != shipped {
		t.Errorf("the system is %+v", c.System)
	}
	other := newDevice(t, m.equip(t))
	install(t, other, packaged(t, developer, release.Manifest{}, ""))
	if again := m.evidence(t, launch(t, other, installed.Name)); string(again.Device.UEID) == string(c.Device.UEID) || again.Key == c.Key {
		t.Error("two devices are the same one")
	}
}

// TestUnlocking is in evidence at once, and no key outlives it, nor that the boot loader is locked again.
func TestUnlocking(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	m, dir := newMaker(t), t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	d := newDevice(t, inDir, m.equip(t))
	name := install(t, d, packaged(t, developer, release.Manifest{}, "")).Name
	app := launch(t, d, name)
	keys := map[jwk.Key]bool{key(t, app): true}
	if _, err := d.Impersonate(name); !errors.Is(err, ErrLocked) {
		t.Errorf("somebody passes for the app on a phone that is locked: %v", err)
	}
	other := &System{Name: "FreeOS", Version: "7", Key: pin.Pin("sha256/" + strings.Repeat("A", 43) + "=")}
	if err := d.InstallSystem(other); !errors.Is(err, ErrLocked) {
		t.Errorf("another system on a phone that is locked: %v", err)
	}
	steps := []struct {
		name   string
		change func() error
		want   evidence.System
	}{
		{"unlocked", func() error { return d.Unlock(true) }, evidence.System{Name: "KeelOS", Version: "1", Key: m.system}},
		{"another system", func() error { return d.InstallSystem(other) }, evidence.System{Name: "FreeOS", Version: "7", Key: other.Key}},
		{"locked again", func() error { return d.Unlock(false) }, evidence.System{Name: "FreeOS", Version: "7", Key: other.Key, Locked: true}},
		{"unlocked again", func() error { return d.Unlock(true) }, evidence.System{Name: "FreeOS", Version: "7", Key: other.Key}},
		{"the maker's system", func() error { return d.InstallSystem(nil) }, evidence.System{Name: "KeelOS", Version: "1", Key: m.system}},
		{"and locked", func() error { return d.Unlock(false) }, evidence.System{Name: "KeelOS", Version: "1", OEM: true, Locked: true, Key: m.system}},
	}
	for i, step := range steps {
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if c := m.evidence(t, app); c.System != step.want {
			t.Errorf("%s: %+v, want %+v", step.name, c.System, step.want)
		}
		keys[key(t, app)] = true
		if len(keys) != i+2 {
			t.Errorf("%s: the app has a key of before", step.name)
		}
	}
	// Also where the state was changed while the phone was switched off, and nobody asked meanwhile.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"unlocked": false`, `"unlocked": true`, 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil || changed == string(data) {
		t.Fatal("not changed", err)
	}
	d = newDevice(t, inDir, m.equip(t))
	app = launch(t, d, name)
	if c := m.evidence(t, app); c.System.Locked || keys[key(t, app)] {
		t.Errorf("after a restart: %+v", c.System)
	}
}

// TestImpersonate: who owns the system has the hardware sign for a program of their own, and evidence
// says whose system it is.
func TestImpersonate(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	m := newMaker(t)
	d := newDevice(t, m.equip(t))
	name := install(t, d, packaged(t, developer, release.Manifest{}, "")).Name
	if err := d.Unlock(true); err != nil {
		t.Fatal(err)
	}
	impostor, err := d.Impersonate(name)
	if err != nil {
		t.Fatal(err)
	}
	public, err := impostor.Key()
	if err != nil || public != key(t, launch(t, d, name)) {
		t.Errorf("it gets another key than the app: %v", err)
	}
	signature, err := jwk.SignBytes(signerOf{impostor, public}, []byte("text"))
	if err != nil || !public.Verify([]byte("text"), signature) {
		t.Errorf("it can't sign: %v", err)
	}
	text, err := impostor.Evidence([]byte(session), evidence.Bound(attestation.Findings{}))
	if err != nil {
		t.Fatal(err)
	}
	if c := m.verified(t, text); c.System.Locked || c.System.OEM || c.Package.Name != name {
		t.Errorf("%+v", c)
	}
	if _, err := d.Impersonate("com.example.none"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("an app that is not there: %v", err)
	}
}

// TestTheHardwareEndsWithTheDevice, and is there again where it has ended by itself.
func TestTheHardwareEndsWithTheDevice(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	d := newDevice(t, m.equip(t))
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	before := key(t, app)
	d.secure.mu.Lock()
	process := d.secure.cmd.Process
	d.secure.mu.Unlock()
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if key(t, app) != before {
		t.Error("it has another key when it is there again")
	}
	d.secure.mu.Lock()
	process, ended := d.secure.cmd.Process, d.secure.ended
	d.secure.mu.Unlock()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("process %d is there: %v", process.Pid, err)
	}
}

func TestADeviceWithoutHardware(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	name := install(t, d, packaged(t, developer, release.Manifest{}, "")).Name
	app := launch(t, d, name)
	for _, what := range []string{"key", "sign text", "evidence " + session} {
		if _, err := app.Account(t.Context(), what); err == nil || !strings.Contains(err.Error(), ErrNoHardware.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(d.Unlock(true), d.Uninstall(name)); err != nil {
		t.Error(err)
	}
}

func TestKeysSignSHA256Alone(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	d := newDevice(t, newMaker(t).equip(t))
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	for _, digest := range []string{"48", "32", "0"} {
		if _, err := app.Account(t.Context(), "sign-digest "+digest); err == nil {
			t.Errorf("it signs %s bytes", digest)
		}
	}
	var signature []byte
	if err := (&system{app: app}).Sign(make([]byte, 31), &signature); err == nil {
		t.Error("the hardware signs 31 bytes")
	}
}

// secrets are the private keys in a device's hardware, as they can be in memory or in files.
func secrets(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	var made struct{ Key []byte }
	var kept struct{ Keys []struct{ Key []byte } }
	for file, into := range map[string]any{"made.json": &made, "keys.json": &kept} {
		data, err := os.ReadFile(filepath.Join(HardwareFolder(dir), file))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	found := map[string][]byte{}
	add := func(name string, der []byte) {
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatal(err)
		}
		scalar, err := key.(*ecdsa.PrivateKey).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		found[name] = scalar
		found[name+", the other way round"] = reversed(scalar)
	}
	add("the device's key", made.Key)
	for _, k := range kept.Keys {
		add("the app's key", k.Key)
	}
	if len(found) < 4 {
		t.Fatal("the app has no key")
	}
	return found
}

func reversed(data []byte) []byte {
	other := make([]byte, len(data))
	for i, b := range data {
		other[len(data)-1-i] = b
	}
	return other
}
