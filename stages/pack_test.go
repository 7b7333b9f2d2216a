package main

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/mobileclient/release"
)

func TestPack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, genuine, changed := filepath.Join(dir, "program"), filepath.Join(dir, "genuine.pkg"), filepath.Join(dir, "changed.pkg")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	developer := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	manifest := release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1}
	assets := map[string][]byte{release.SettingsFile: []byte(`{"TRANSFER_CAP":100000,"CLIENT_ID":"harbour-mobile"}`)}
	if err := release.Pack(genuine, program, manifest, assets, developer); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, set, err string
	}{
		{name: "another value", set: "TRANSFER_CAP=100000000"},
		{name: "no value", set: "TRANSFER_CAP", err: "not NAME=VALUE"},
		{name: "not JSON", set: "CLIENT_ID=harbour-ops", err: "not NAME=VALUE"},
		{name: "no such setting", set: "TRANSFERCAP=1", err: "no setting TRANSFERCAP"},
	}
	for _, test := range tests {
		switch err := repack(genuine, changed, []string{test.set}); {
		case test.err == "" && err != nil, test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: %v", test.name, err)
		}
	}
	opened, err := release.Open(changed) // which verifies the signature
	if err != nil {
		t.Fatal(err)
	}
	if opened.Signer.Equal(developer.Public()) || opened.Name != manifest.Name {
		t.Errorf("package %s, signed by %x", opened.Name, opened.Signer)
	}
	code, _, assets, err := release.Read(changed)
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := json.Unmarshal(assets[release.SettingsFile], &settings); err != nil {
		t.Fatal(err)
	}
	if string(code) != "a program" || settings["TRANSFER_CAP"] != 1e8 || settings["CLIENT_ID"] != "harbour-mobile" {
		t.Errorf("program %q, settings %v", code, settings)
	}
}
