package deploy_test

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

// settings are what is in each package of a role.
func settings(t *testing.T, data string, role deployment.Role) map[string]*release.Settings {
	t.Helper()
	folder, err := deployment.Open(data, role)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*release.Settings{}
	for _, path := range folder.Packages() {
		_, assets, err := release.Assets(path)
		if err != nil {
			t.Fatal(err)
		}
		read, err := scatter.Unbundle(assets)
		if err != nil {
			if read, err = release.UnbundleClear(assets); err != nil {
				t.Fatal(err)
			}
		}
		got[filepath.Base(path)] = read
	}
	return got
}

// When ports are others, every folder and every package says so, with the secrets, the
// programs and the signer that there were; also when the last time was interrupted.
func TestDeploymentFollows(t *testing.T) {
	t.Parallel()
	data, apps := t.TempDir(), programs(t)
	run := func(port int, want deploy.Done) {
		t.Helper()
		done, err := deploy.Init(t.Context(), deploy.Options{
			Dir: data, Stages: catalog.All(), Programs: apps,
			Addresses: deployment.Local(deployment.Ports{deployment.API: port, deployment.PlainAPI: 8080}),
		})
		if err != nil || done != want {
			t.Fatalf("port %d: %s, %v", port, done, err)
		}
	}
	run(8443, deploy.Made)
	run(8443, deploy.Kept)
	before := settings(t, data, deployment.Phone)
	packages := packed(t, data, deployment.Phone)
	run(18443, deploy.Moved)
	run(18443, deploy.Kept)
	for _, role := range deployment.Roles() {
		folder, err := deployment.Open(data, role)
		if err != nil {
			t.Fatal(err)
		}
		if got := folder.Addresses.URL(deployment.API); got != "https://localhost:18443" {
			t.Errorf("%s: the API is at %s", role, got)
		}
	}
	for _, role := range []deployment.Role{deployment.Phone, deployment.Admin, deployment.Attacker} {
		after := settings(t, data, role)
		if len(after) != len(before) {
			t.Errorf("%s: %d packages", role, len(after))
		}
		for name, got := range after {
			if got.APITLS != "https://localhost:18443" || got.APIPlain != "http://localhost:8080" {
				t.Errorf("%s: %s calls %s and %s", role, name, got.APITLS, got.APIPlain)
			}
			if got.SharedSecret != before[name].SharedSecret || got.ClientKey != before[name].ClientKey || !slices.Equal(got.ServerPins, before[name].ServerPins) {
				t.Errorf("%s: %s has other secrets or pins", role, name)
			}
		}
		for name, program := range packed(t, data, role) {
			if program != packages[name] {
				t.Errorf("%s: %s has another program", role, name)
			}
		}
	}
	same := map[string]string{}
	for _, role := range []deployment.Role{deployment.Phone, deployment.Admin, deployment.Attacker} {
		folder, err := deployment.Open(data, role)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range folder.Packages() {
			name := filepath.Base(path)
			if first, ok := same[name]; ok && first != folder.Files[name] {
				t.Errorf("%s has another %s than the phone", role, name)
			}
			same[name] = folder.Files[name]
		}
	}
	// Interrupted after the first folders: what counts is the last one.
	first, err := deployment.Open(data, deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	first.Addresses = deployment.Local(deployment.Ports{deployment.API: 28443})
	if err := first.Replace(nil); err != nil {
		t.Fatal(err)
	}
	run(28443, deploy.Moved)
}

// What somebody has put in a package's place does not get the developer's signature.
func TestMoveSignsNothingElse(t *testing.T) {
	t.Parallel()
	data, apps := t.TempDir(), programs(t)
	options := func(port int) deploy.Options {
		return deploy.Options{
			Dir: data, Stages: catalog.All(), Programs: apps,
			Addresses: deployment.Local(deployment.Ports{deployment.API: port, deployment.PlainAPI: 8080}),
		}
	}
	if _, err := deploy.Init(t.Context(), options(8443)); err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []deployment.Role{deployment.Attestation, deployment.Phone, deployment.Admin, deployment.Attacker} {
		path := filepath.Join(data, string(role), "harbour-bank-1.pkg")
		program, manifest, assets, err := release.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := release.Assemble(append(program, '!'), manifest, assets, stranger)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := deploy.Init(t.Context(), options(18443)); !errors.Is(err, deployment.ErrChanged) {
		t.Errorf("got %v, want %v", err, deployment.ErrChanged)
	}
}
