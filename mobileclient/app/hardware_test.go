package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release/releasetest"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/workshop/lab/testbank"
)

// asksDevices is a bank whose attestation service asks devices at the stage that is first with a
// mediator.
func asksDevices(t *testing.T) (*bench, catalog.Stage) {
	t.Helper()
	processAlone(t)
	stage := mediatedStage(t)
	bank := testbank.Start(t, testbank.Options{Stages: catalog.All().With(stage.Slug, func(p *catalog.Policies) { p.Attestation.Level = catalog.DeviceEvidence })})
	return newBenchAt(t, bank), stage
}

// TestTheDeviceSaysWhatTheAppIs: the app is asked for its findings alone, and served.
func TestTheDeviceSaysWhatTheAppIs(t *testing.T) {
	t.Parallel()
	b, stage := asksDevices(t)
	app := b.launch(t, stage.Slug)
	b.signIn(t, app, stage.Call)
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	told := b.evidence(t)
	if len(told) != 1 || strings.Count(told[0].ByDevice, ".") != 2 || told[0].Measurement != "" || told[0].Answer != nil || told[0].Findings == nil || *told[0].Findings != (attestation.Findings{}) {
		t.Errorf("told: %+v", told)
	}
}

// TestNoKeyOfTheHardwareInTheApp uses the app where it proves or signs each call, and searches its memory
// and its backup for the keys that do it. The same search finds the public half.
func TestNoKeyOfTheHardwareInTheApp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	searched := 0
	for _, stage := range catalog.All().Built() {
		if stage.Call.Sender == catalog.AnySender {
			continue
		}
		searched++
		t.Run(stage.Slug, func(t *testing.T) {
			app := b.launch(t, stage.Slug)
			b.signIn(t, app, stage.Call)
			private, public := hardwareKeys(t, b)
			find, there := private.Finder(), public.Finder()
			found := map[string]string{}
			for range 3 {
				for _, call := range []func() (device.Screen, error){
					func() (device.Screen, error) { return app.Accounts(t.Context()) },
					func() (device.Screen, error) { return app.Transfer(t.Context(), payment()) },
				} {
					if screen := shown(t)(call()); !screen.OK {
						t.Fatalf("%+v", screen)
					}
				}
				_, err := debugger.EachWritable(t.Context(), app.PID(), func(_ uint64, data []byte) {
					for what, how := range find(data) {
						t.Errorf("%s is in the app's memory, as %s", what, how)
					}
					maps.Copy(found, there(data))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(found) == 0 {
				t.Error("the search does not find the public key, which is in all that the app sends")
			}
			backup, err := b.device.Backup(appName)
			if err != nil || len(backup) == 0 {
				t.Fatalf("%d values, %v", len(backup), err)
			}
			for name, value := range backup {
				for what, how := range find(value) {
					t.Errorf("%s is in the backup, as %s of %s", what, how, name)
				}
			}
			for what, key := range private {
				other := slices.Clone(key)
				slices.Reverse(other)
				for _, written := range [][]byte{
					key, other, []byte(hex.EncodeToString(key)), []byte(base64.StdEncoding.EncodeToString(key)), []byte(base64.RawURLEncoding.EncodeToString(key)),
				} {
					if find(slices.Concat([]byte("before "), written, []byte(" after")))[what] == "" {
						t.Errorf("the search does not find %s as %q", what, written)
					}
				}
			}
			if err := app.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if searched == 0 {
		t.Error("at no stage the sender has a key")
	}
}

// TestWhereTheDeviceIsNotBelieved the app is not served, though nothing of it was changed: on a phone
// that is unlocked, with another system, and without secure hardware.
func TestWhereTheDeviceIsNotBelieved(t *testing.T) {
	t.Parallel()
	b, stage := asksDevices(t)
	refused := func(what string) {
		t.Helper()
		app := b.launch(t, stage.Slug)
		screen := shown(t)(app.Rates(t.Context()))
		if screen.OK || !strings.Contains(screen.Error, "does not accept this app") {
			t.Errorf("%s: %+v", what, screen)
		}
		if err := app.Close(); err != nil {
			t.Fatal(err)
		}
	}
	app := b.launch(t, stage.Slug)
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.device.Unlock(true); err != nil {
		t.Fatal(err)
	}
	refused("unlocked")
	other := &device.System{Name: "FreeOS", Version: "7", Key: "sha256/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="}
	if err := b.device.InstallSystem(other); err != nil {
		t.Fatal(err)
	}
	if err := b.device.Unlock(false); err != nil {
		t.Fatal(err)
	}
	refused("another system, and locked")
}

// hardwareKeys are the keys in the phone's hardware: of the private ones the secret numbers, of the public
// ones of the app a coordinate.
func hardwareKeys(t *testing.T, b *bench) (private, public releasetest.Needles) {
	t.Helper()
	folder := device.HardwareFolder(filepath.Dir(filepath.Dir(b.device.Storage(appName))))
	var made struct{ Key []byte }
	var kept struct{ Keys []struct{ Key []byte } }
	for name, into := range map[string]any{"made.json": &made, "keys.json": &kept} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	parse := func(der []byte) *ecdsa.PrivateKey {
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatal(err)
		}
		return key.(*ecdsa.PrivateKey)
	}
	number := func(key *ecdsa.PrivateKey) []byte { return testenv.Must[[]byte](t)(key.Bytes()) }
	private, public = releasetest.Needles{"the device's key": number(parse(made.Key))}, releasetest.Needles{}
	for i, of := range kept.Keys {
		key := parse(of.Key)
		what := fmt.Sprintf("key %d of the app", i+1)
		private[what], public[what] = number(key), testenv.Must[[]byte](t)(key.PublicKey.Bytes())[1:33]
	}
	if len(public) == 0 {
		t.Fatal("the app has no key")
	}
	return private, public
}
