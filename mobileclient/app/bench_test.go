package main

import (
	"context"
	"crypto/tls"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab/testbank"
)

// programs are the app as it is shipped, built once for all tests.
var programs build.Programs

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keyladder-app-")
	if err != nil {
		log.Fatal(err)
	}
	if programs, err = build.Build(context.Background(), dir, deploy.Ways(catalog.All())...); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if err := testbank.Remove(); err != nil {
		log.Print(err)
	}
	os.Exit(code)
}

// bench is a bank, and a phone with the genuine app on it.
type bench struct {
	bank     *testbank.Bank
	roots    []byte           // PEM, that phones trust
	settings release.Settings // that the app is packed with, but for the stages
	device   *device.Device
	log      *traffic.Log
	policy   func(stage string, as catalog.Call) catalog.Call // that the app is packed with; nil: as the catalog has it
}

const (
	appName  = "com.harbourbank.app"
	clientID = "harbour-mobile"
)

// atOnce are the tests in which the app is used at every stage, or by several at the same time.
var atOnce = []string{"TestStages", "TestThroughTheMediator", "TestDevices", "TestAccessPoint", "TestRenewal", "TestSignOutDuringARenewal", "TestAtTheAuthorizationServer"}

// processAlone skips all other tests in short runs: the app is a process of its own.
func processAlone(t *testing.T) {
	t.Helper()
	if name, _, _ := strings.Cut(t.Name(), "/"); !slices.Contains(atOnce, name) {
		testenv.InSequence(t)
	}
}

// newBench installs the app with settings that the test may change first.
func newBench(t *testing.T, change ...func(*bench)) *bench {
	t.Helper()
	processAlone(t)
	return newBenchAt(t, testbank.Start(t, testbank.Options{}), change...)
}

func newBenchAt(t *testing.T, bank *testbank.Bank, change ...func(*bench)) *bench {
	t.Helper()
	b := &bench{bank: bank, roots: bank.Roots, settings: bank.Settings(clientID), log: traffic.New("phone", 1000)}
	for _, c := range change {
		c(b)
	}
	b.device = b.newPhone(t)
	return b
}

// newPhone is a phone without apps.
func (b *bench) newPhone(t *testing.T) *device.Device {
	t.Helper()
	dir := t.TempDir()
	b.bank.Equip(dir)
	d, err := device.New(device.Config{
		Dir: dir, Owner: "alice", Roots: b.roots, Log: b.log, Developers: b.bank.Developers(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// pack packs the release of the app that is used at a stage.
func (b *bench) pack(t *testing.T, stage catalog.Stage, name string) string {
	t.Helper()
	settings := b.settings
	settings.Stages = map[string]catalog.Call{}
	for _, other := range catalog.All().Built() {
		if other.Package.Release == stage.Package.Release {
			settings.Stages[other.Slug] = other.Call
			if b.policy != nil {
				settings.Stages[other.Slug] = b.policy(other.Slug, other.Call)
			}
		}
	}
	if stage.Package.Secrets == catalog.NoSecrets {
		settings.SharedSecret, settings.ClientSecret, settings.ClientCertificate, settings.ClientKey = "", "", "", ""
	}
	assets, err := build.Bundle(settings, stage.Package.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.pkg")
	manifest := release.Manifest{Name: name, Label: "Harbour Bank", Release: stage.Package.Release, Schemes: []string{name}}
	if err := release.Pack(path, programs[stage.Package.Secrets], manifest, assets, b.bank.Developer); err != nil {
		t.Fatal(err)
	}
	if name == appName {
		b.bank.Publish(path)
	}
	return path
}

// install puts the release of the app that is used at a stage on the phone.
func (b *bench) install(t *testing.T, slug string) {
	t.Helper()
	stage := lookup(t, slug)
	installed := b.device.Installed()
	if len(installed) > 0 && installed[0].Release == stage.Package.Release {
		return
	}
	if _, err := b.device.Install(b.pack(t, stage, appName)); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) launch(t *testing.T, stage string) *device.App {
	t.Helper()
	b.install(t, stage)
	app, err := b.device.Launch(t.Context(), appName, stage)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// last is the last call that arrived.
func (b *bench) last(t *testing.T) testbank.Arrived {
	t.Helper()
	arrived := b.bank.Arrived()
	if len(arrived) == 0 {
		t.Fatal("the bank was not asked")
	}
	return arrived[len(arrived)-1]
}

// signIn signs alice in, where the stage knows users.
func (b *bench) signIn(t *testing.T, app *device.App, policy catalog.Call) {
	t.Helper()
	if policy.UserProof == catalog.NoUser {
		return
	}
	if screen := b.enter(t, app, "alice"); !screen.OK || screen.User != "alice" {
		t.Fatalf("sign in: %+v", screen)
	}
}

func lookup(t *testing.T, slug string) catalog.Stage {
	t.Helper()
	stage, ok := catalog.All().Lookup(slug)
	if !ok {
		t.Fatalf("no stage %q", slug)
	}
	return stage
}

// shown is what the app shows, where it could be asked.
func shown(t *testing.T) func(device.Screen, error) device.Screen {
	return func(screen device.Screen, err error) device.Screen {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return screen
	}
}

func newCA(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func certificate(t *testing.T, pair pki.Pair) tls.Certificate {
	t.Helper()
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// payment is one that the bank makes, at every stage where alice is signed in.
func payment() device.Payment {
	return device.Payment{From: "HB-1001", To: "HB-2001", Amount: 1234, Reference: "rent & more"}
}

func count(list []string, what string) int {
	n := 0
	for _, item := range list {
		if item == what {
			n++
		}
	}
	return n
}
