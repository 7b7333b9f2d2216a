package lab_test

import (
	"encoding/json"
	"io"
	"net/http"
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

// stranger is what somebody gets who writes an app of their own for the API.
type stranger struct {
	Base   string `json:"base"` // of the API, as everybody is told
	CA     string `json:"ca"`   // PEM
	ID     string `json:"id"`
	Secret string `json:"secret"`
	Cert   string `json:"cert"` // PEM
	Key    string `json:"key"`
}

// A server that runs, in this process or in containers, and the packages that Hawk comes
// from understand each other: a client made with them is served under the public address, and
// accepts Server-Authorization. .ci/compose runs it against the containers.
func TestHawkFromJavaScript(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	nodePath := testenv.NPM(t)
	who := stranger{ID: "harbour-mobile"}
	if os.Getenv(inDocker) != "" {
		who.inContainers(t)
	} else {
		who.inLab(t, start(t, lab.Options{}))
	}
	argument, err := json.Marshal(who)
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

func (s *stranger) inLab(t *testing.T, l *lab.Lab) {
	t.Helper()
	offline, err := deployment.Open(l.Dir, deployment.Offline)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		data, err := offline.Read("apps/" + s.ID + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	s.Base, s.CA, s.Cert, s.Key = l.Addresses.URL(deployment.API), string(l.Roots), read(".pem"), read("-key.pem")
	secret, err := manage.Get[manage.Secret](t.Context(), l.Resource, "/keys/"+s.ID+"/secret")
	if err != nil {
		t.Fatal(err)
	}
	s.Secret = secret.Secret
}

func (s *stranger) inContainers(t *testing.T) {
	t.Helper()
	ports, err := deployment.ChoosePorts(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	addresses := deployment.Local(ports)
	s.Base = addresses.URL(deployment.API)
	resp, err := http.Get(addresses.URL(deployment.AdminUI) + "/workshop-ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ca, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.CA = string(ca)
	compose := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "docker", append([]string{"compose"}, args...)...)
		command.Dir, command.Stderr = filepath.Join("..", "..", ".."), os.Stderr
		output, err := command.Output()
		if err != nil {
			t.Fatalf("docker compose %v: %v", args, err)
		}
		return string(output)
	}
	offline := func(name string) string {
		t.Helper()
		return compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "release", "data/offline/apps/"+s.ID+name)
	}
	s.Cert, s.Key = offline(".pem"), offline("-key.pem")
	var secrets map[string]string // as they were made; the test comes before one is rotated
	if err := json.Unmarshal([]byte(compose("exec", "-T", "resource", "cat", "data/resource/secrets.json")), &secrets); err != nil {
		t.Fatal(err)
	}
	s.Secret = secrets[s.ID]
}
