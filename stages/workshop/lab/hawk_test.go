package lab_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/workshop/lab"
)

// The running server and the packages that Hawk comes from understand each other: a
// client made with them is served, and accepts Server-Authorization.
func TestHawkFromJavaScript(t *testing.T) {
	t.Parallel()
	nodePath := testenv.NPM(t, "hawk@9.0.2", "@hapi/hawk@8.0.0")
	l := start(t, lab.Options{})
	offline, err := deployment.Open(l.Dir, deployment.Offline)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"base": l.Addresses.URL(deployment.API), "ca": string(l.Roots), "id": "harbour-mobile"}
	for name, file := range map[string]string{"cert": "apps/harbour-mobile.pem", "key": "apps/harbour-mobile-key.pem"} {
		data, err := offline.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		settings[name] = string(data)
	}
	secret, err := manage.Get[manage.Secret](t.Context(), l.Resource, "/keys/harbour-mobile/secret")
	if err != nil {
		t.Fatal(err)
	}
	settings["secret"] = secret.Secret
	argument, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hawk", "@hapi/hawk"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "hawk.js"), name, string(argument))
			node.Env = append(os.Environ(), "NODE_PATH="+nodePath)
			output, err := node.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if got := strings.TrimSpace(string(output)); got != "201 200 200 201" {
				t.Errorf("the statuses are %s", got)
			}
		})
	}
}
