package device

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
)

var (
	developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	stranger  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

// packaged packs this program as an app.
func packaged(t *testing.T, key ed25519.PrivateKey, m release.Manifest, behaviour string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if m.Name == "" {
		m.Name = "com.example.app"
	}
	if m.Release == 0 {
		m.Release = 1
	}
	m.Label = "Test"
	path := filepath.Join(t.TempDir(), "app.pkg")
	if err := release.Pack(path, self, m, map[string][]byte{"behaviour": []byte(behaviour)}, key); err != nil {
		t.Fatal(err)
	}
	return path
}

func newDevice(t *testing.T, change ...func(*Config)) *Device {
	t.Helper()
	config := Config{
		Dir: t.TempDir(), Owner: "alice", Log: traffic.New("phone", 1000),
		Developers: []ed25519.PublicKey{developer.Public().(ed25519.PublicKey)},
	}
	for _, c := range change {
		c(&config)
	}
	d, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func install(t *testing.T, d *Device, path string) Installed {
	t.Helper()
	installed, err := d.Install(path)
	if err != nil {
		t.Fatal(err)
	}
	return installed
}

func launch(t *testing.T, d *Device, name string) *App {
	t.Helper()
	app, err := d.Launch(t.Context(), name, "app-id")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// do has the test app do something, and decodes what it shows.
func do[T any](t *testing.T, app *App, what string) T {
	t.Helper()
	var v T
	screen, err := app.Account(t.Context(), what)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(screen.Body) > 0 {
		if err := json.Unmarshal(screen.Body, &v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func TestStorage(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	dir := t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	d := newDevice(t, inDir)
	v1 := packaged(t, developer, release.Manifest{Release: 1}, "")
	name := install(t, d, v1).Name
	other := install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.other"}, "")).Name

	app := launch(t, d, name)
	do[any](t, app, "store ../../escape kept")
	if got := do[string](t, app, "load ../../escape"); got != "kept" {
		t.Errorf("stored: %q", got)
	}
	if _, err := launch(t, d, other).Account(t.Context(), "load ../../escape"); err == nil {
		t.Error("another app reads it")
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if got := do[string](t, launch(t, d, name), "load ../../escape"); got != "kept" {
		t.Errorf("after a restart of the app: %q", got)
	}
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	if got := do[string](t, launch(t, d, name), "load ../../escape"); got != "kept" {
		t.Errorf("after an update: %q", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = newDevice(t, inDir)
	app = launch(t, d, name)
	if got := do[string](t, app, "load ../../escape"); got != "kept" {
		t.Errorf("after a restart of the device: %q", got)
	}
	do[any](t, app, "delete ../../escape")
	if _, err := app.Account(t.Context(), "load ../../escape"); err == nil {
		t.Error("it is still there after it was deleted")
	}
	do[any](t, app, "store key value")
	if err := d.Uninstall(name); err != nil {
		t.Fatal(err)
	}
	install(t, d, v1)
	if _, err := launch(t, d, name).Account(t.Context(), "load key"); err == nil {
		t.Error("it survived that the app was uninstalled")
	}
	if _, err := launch(t, d, name).Account(t.Context(), "store "+strings.Repeat("k", 101)+" v"); err == nil {
		t.Error("a long key was taken")
	}
}

func TestSettingsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	d := newDevice(t, inDir)
	install(t, d, packaged(t, developer, release.Manifest{}, ""))
	network := Network{Proxy: "http://127.0.0.1:9"}
	if err := errors.Join(d.SetNetwork(network), d.AllowSideloading(true), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = newDevice(t, inDir)
	if d.Network() != network || !d.Sideloading() || len(d.Installed()) != 1 {
		t.Errorf("%+v, sideloading %v, %d packages", d.Network(), d.Sideloading(), len(d.Installed()))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	// A package that was swapped while the device was off is not believed.
	swapped, err := os.ReadFile(packaged(t, stranger, release.Manifest{}, ""))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "packages", "com.example.app.pkg")
	if err := errors.Join(os.Remove(path), os.WriteFile(path, swapped, 0o700)); err != nil {
		t.Fatal(err)
	}
	if d = newDevice(t, inDir); len(d.Installed()) != 0 {
		t.Error("a swapped package counts as installed")
	}
}

func TestSetNetworkRefuses(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for _, proxy := range []string{"127.0.0.1:8080", "https://proxy:1", "http://", "http://proxy:1/path", "socks5://proxy:1"} {
		if err := d.SetNetwork(Network{Proxy: proxy}); !errors.Is(err, ErrProxy) {
			t.Errorf("%q: got %v, want %v", proxy, err, ErrProxy)
		}
	}
	if err := d.SetNetwork(Network{AccessPoint: "nowhere"}); err == nil {
		t.Error("an access point without a port was joined")
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for _, text := range []string{"", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if err := d.Trust([]byte(text)); !errors.Is(err, ErrNoCertificate) {
			t.Errorf("%q: got %v, want %v", text, err, ErrNoCertificate)
		}
	}
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	before := do[sdk.Settings](t, app, "settings")
	ca := newCA(t, "My own CA")
	if err := errors.Join(d.Trust(ca.Certificate), d.Trust(ca.Certificate)); err != nil {
		t.Fatal(err)
	}
	after := do[sdk.Settings](t, app, "settings")
	if after.Version == before.Version || !bytes.Contains(after.Roots, bytes.TrimSpace(ca.Certificate)) {
		t.Errorf("the app is told %+v, before %+v", after, before)
	}
	trusted := d.Trusted()
	if len(trusted) != 1 || trusted[0].Subject.CommonName != "My own CA" {
		t.Fatalf("trusted: %v", trusted)
	}
	if err := d.Distrust(trusted[0]); err != nil || len(d.Trusted()) != 0 {
		t.Errorf("still trusted: %v, %v", d.Trusted(), err)
	}
}

// waitFor waits until a condition holds, which is the end of something in the
// background, and fails with the description when it does not.
func waitFor(t *testing.T, condition func() bool, describe func() string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(describe())
		}
	}
}
