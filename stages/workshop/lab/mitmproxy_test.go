package lab_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/route"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/factory"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
)

// The phone's traffic goes through mitmproxy, a tool that is not ours, and it fares
// there as the narratives say.
func TestMitmproxy(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	mitmdump := testenv.Program(t, "mitmdump")
	l := start(t, lab.Options{})
	roots := filepath.Join(l.Dir, string(deployment.Attacker), "roots.pem")
	conf := t.TempDir()
	flows := filepath.Join(conf, "flows.txt")
	output, err := os.Create(flows)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	proxy := exec.Command(mitmdump, "--listen-host", "127.0.0.1", "--listen-port", "0",
		"--set", "confdir="+conf, "--set", "ssl_verify_upstream_trusted_ca="+roots, "--set", "flow_detail=3")
	proxy.Stdout, proxy.Stderr = output, output
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
	})
	var address string // it says which port it got
	waitFor(t, "mitmdump listens", func() bool {
		text, err := os.ReadFile(flows)
		if err != nil {
			return false
		}
		found := regexp.MustCompile(`listening at (127\.0\.0\.1:[1-9][0-9]*)`).FindSubmatch(text)
		if found == nil {
			return false
		}
		address = string(found[1])
		return true
	})

	seen := func() bool {
		text, err := os.ReadFile(flows)
		return err == nil && strings.Contains(string(text), "key harbour-mobile")
	}
	for _, tt := range []struct {
		name    string
		stage   string
		trusted bool
		check   catalog.Check // of the app's, that refuses; empty: the app is served
	}{
		{"pins refuse it, trusted or not", "pinned-mtls", true, "pins"},
		{"TLS refuses it while it is not trusted", "tls", false, "tls"},
		{"trusted, it reads the key", "tls", true, ""},
	} {
		phone := newDevice(t, l, 1)
		if err := phone.SetNetwork(device.Network{Proxy: "http://" + address}); err != nil {
			t.Fatal(err)
		}
		if tt.trusted {
			ca, err := os.ReadFile(filepath.Join(conf, "mitmproxy-ca-cert.pem"))
			if err != nil {
				t.Fatal(err)
			}
			if err := phone.Trust(ca); err != nil {
				t.Fatal(err)
			}
		}
		app, err := phone.Launch(t.Context(), "com.harbourbank.app", tt.stage)
		if err != nil {
			t.Fatal(err)
		}
		screen, err := app.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if screen.Check != tt.check || screen.OK != (tt.check == "") {
			t.Errorf("%s: the app shows %+v", tt.name, screen)
		}
		if err := app.Close(); err != nil {
			t.Error(err)
		}
		if tt.check != "" && seen() {
			t.Errorf("%s: and yet mitmproxy has seen the key", tt.name)
		}
	}
	waitFor(t, "mitmproxy has seen the key", seen)
}

// newDevice is a phone with a release of the genuine app on it.
func newDevice(t *testing.T, l *lab.Lab, number int) *device.Device {
	t.Helper()
	return newDeviceWithRoutes(t, l, number, nil)
}

// newDeviceWithRoutes is the same, from which addresses lead elsewhere.
func newDeviceWithRoutes(t *testing.T, l *lab.Lab, number int, routes route.Table) *device.Device {
	t.Helper()
	folder, err := deployment.Open(l.Dir, deployment.Attacker)
	if err != nil {
		t.Fatal(err)
	}
	data, err := folder.Read("developer.pub")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	developer, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plant, err := factory.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := plant.Make(device.HardwareFolder(dir)); err != nil {
		t.Fatal(err)
	}
	phone, err := device.New(device.Config{
		Dir: dir, Owner: "alice", Roots: l.Roots, Developers: []ed25519.PublicKey{developer.(ed25519.PublicKey)}, Routes: routes,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { phone.Close() })
	if _, err := phone.Install(folder.Path(deploy.PackageName(number))); err != nil {
		t.Fatal(err)
	}
	return phone
}

// waitFor waits until the condition holds, for half a minute at most.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain until %s", what)
}
