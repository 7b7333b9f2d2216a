package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

// programs are files that say how packages with them carry their secrets.
func programs(t *testing.T) build.Programs {
	t.Helper()
	dir, programs := t.TempDir(), build.Programs{}
	for _, how := range []catalog.Secrets{catalog.ClearSecrets, catalog.HiddenSecrets, catalog.NoSecrets} {
		programs[how] = filepath.Join(dir, string(how))
		if err := os.WriteFile(programs[how], []byte(how), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return programs
}

// packed are the programs in the packages of a role.
func packed(t *testing.T, data string, role deployment.Role) map[string]string {
	t.Helper()
	folder, err := deployment.Open(data, role)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, path := range folder.Packages() {
		program, _, _, err := release.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(path)] = string(program)
	}
	return got
}

// Anyone who gets a package gets the program that fits to how it carries its secrets.
func TestProgramsArePacked(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, err := deploy.Init(t.Context(), deploy.Options{Dir: data, Stages: catalog.All(), Programs: programs(t)}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"harbour-bank-1.pkg": "clear", "harbour-bank-2.pkg": "hidden", "harbour-bank-3.pkg": "none",
		"harbour-ops-1.pkg": "clear", "harbour-ops-2.pkg": "hidden", "harbour-ops-3.pkg": "none",
	}
	for _, role := range []deployment.Role{deployment.Phone, deployment.Admin, deployment.Attacker} {
		if diff := cmp.Diff(want, packed(t, data, role)); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
}

// A stage that is built gets the release that it uses.
func TestNextReleaseIsPacked(t *testing.T) {
	t.Parallel()
	stages := catalog.All()
	i := slices.IndexFunc(stages, func(stage catalog.Stage) bool { return stage.Package.Release >= catalog.SecretlessRelease })
	before := stages.Built()[len(stages.Built())-1]
	stages[i].Built, stages[i].Policies = true, before.Policies
	stages[i].Package.Release = catalog.SecretlessRelease
	data := t.TempDir()
	if _, err := deploy.Init(t.Context(), deploy.Options{Dir: data, Stages: stages, Programs: programs(t)}); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(packed(t, data, deployment.Phone)))
	want := []string{"harbour-bank-1.pkg", "harbour-bank-2.pkg", "harbour-bank-3.pkg", "harbour-ops-1.pkg", "harbour-ops-2.pkg", "harbour-ops-3.pkg"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSecretlessRelease: the packages of a stage whose app carries no secret have none, with what else
// the app has to know. They can be moved to other ports.
func TestSecretlessRelease(t *testing.T) {
	t.Parallel()
	stages := catalog.All()
	i := slices.IndexFunc(stages, func(stage catalog.Stage) bool { return stage.Package.Release >= catalog.SecretlessRelease })
	hidden, _ := stages.Lookup("refresh")
	stages[i].Built, stages[i].Policies = true, hidden.Policies
	stages[i].Call.ClientAuth, stages[i].Call.AppProof = catalog.Mediated, catalog.IntegrityToken
	stages[i].Package = catalog.Package{Release: catalog.SecretlessRelease, Secrets: catalog.NoSecrets}
	data, apps := t.TempDir(), programs(t)
	for _, port := range []int{8443, 18443} {
		addresses := deployment.Local(deployment.Ports{deployment.API: port})
		if _, err := deploy.Init(t.Context(), deploy.Options{Dir: data, Stages: stages, Programs: apps, Addresses: addresses}); err != nil {
			t.Fatal(err)
		}
		if got := packed(t, data, deployment.Phone)["harbour-bank-3.pkg"]; got != "none" {
			t.Errorf("the program is %q", got)
		}
		folder, err := deployment.Open(data, deployment.Phone)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := release.Open(folder.Path("harbour-bank-3.pkg"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := deploy.Shipped(pkg.Path)
		if err != nil {
			t.Fatal(err)
		}
		if s.SharedSecret != "" || s.ClientSecret != "" || s.ClientCertificate != "" || s.ClientKey != "" {
			t.Error("there is a secret in it")
		}
		if s.ClientID != "harbour-mobile" || len(s.ServerPins) == 0 || s.APITLS != addresses.URL(deployment.API) || !s.Developer.Equal(pkg.Signer) {
			t.Errorf("%+v", s)
		}
		if unfit, err := deploy.Unfit(data, stages); err != nil || len(unfit) > 0 {
			t.Errorf("%v, %v", unfit, err)
		}
	}
}

// A lab in which neither phone nor admin UI runs has the packages once.
func TestPackagesForSomeAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := deploy.Init(t.Context(), deploy.Options{
		Dir: dir, Stages: catalog.All(), Programs: programs(t), Addresses: deployment.Local(nil),
		Packages: []deployment.Role{deployment.Attacker},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range deployment.Roles() {
		folder, err := deployment.Open(dir, role)
		if err != nil {
			t.Fatal(err)
		}
		if there := len(folder.Packages()) > 0; there != (role == deployment.Attacker) {
			t.Errorf("%s: packages %v", role, folder.Packages())
		}
	}
}
