package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
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
	keys := hardwareKeys(t, b)
	searched, err := debugger.EachWritable(t.Context(), app.PID(), func(_ uint64, data []byte) {
		for what, key := range keys {
			if bytes.Contains(data, key) || bytes.Contains(data, reversed(key)) {
				t.Errorf("%s is in the app's memory", what)
			}
		}
	})
	if err != nil || searched < 1<<20 {
		t.Errorf("%d bytes were searched, %v", searched, err)
	}
	backup, err := b.device.Backup(appName)
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range keys {
		for name, value := range backup {
			if bytes.Contains(value, key) {
				t.Errorf("%s is in the backup, as %s", what, name)
			}
		}
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

// hardwareKeys are the private keys in the phone's hardware.
func hardwareKeys(t *testing.T, b *bench) map[string][]byte {
	t.Helper()
	folder := device.HardwareFolder(filepath.Dir(filepath.Dir(b.device.Storage(appName))))
	var made struct{ Key []byte }
	var kept struct{ Keys []struct{ Key []byte } }
	keys := map[string][]byte{}
	for name, into := range map[string]any{"made.json": &made, "keys.json": &kept} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, der := range map[string][]byte{"the device's key": made.Key, "the app's key": kept.Keys[0].Key} {
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatal(err)
		}
		if keys[what], err = key.(*ecdsa.PrivateKey).Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func reversed(data []byte) []byte {
	other := make([]byte, len(data))
	for i, b := range data {
		other[len(data)-1-i] = b
	}
	return other
}
