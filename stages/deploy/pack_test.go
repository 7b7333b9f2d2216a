package deploy_test

import (
	"os"
	"path/filepath"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/deploy"
)

// Releases whose secrets are hidden carry the obfuscated program, whoever gets them.
func TestObfuscatedProgramIsPacked(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(name), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(release.ProgramEnv2, file("obfuscated"))
	data := filepath.Join(dir, "data")
	if _, err := deploy.Init(t.Context(), deploy.Options{Dir: data, Stages: catalog.All(), Program: file("plain")}); err != nil {
		t.Fatal(err)
	}
	for _, role := range []deployment.Role{deployment.Phone, deployment.Admin, deployment.Attacker} {
		for name, want := range map[string]string{
			"harbour-bank-1.pkg": "plain", "harbour-bank-2.pkg": "obfuscated", "harbour-ops-2.pkg": "obfuscated",
		} {
			program, _, _, err := release.Read(filepath.Join(data, string(role), name))
			if err != nil {
				t.Fatal(err)
			}
			if string(program) != want {
				t.Errorf("%s of %s has the program %q, want %q", name, role, program, want)
			}
		}
	}
}
