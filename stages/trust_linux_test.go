package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/smallstep/truststore"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
)

// trust runs the command in this process.
func trust(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	var out bytes.Buffer
	c := trustCommand()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SilenceErrors, c.SilenceUsage = true, true
	err = c.ExecuteContext(t.Context())
	return out.String(), err
}

// writeCA writes an authority's certificate into a file.
func writeCA(t *testing.T, ca *pki.CA, err error) (path string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, ca.Certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// onlyPrograms has commands find no programs but these.
func onlyPrograms(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// An authority that could make certificates for the whole internet gets into no store.
func TestTrustRefusesWhatIsNotConstrained(t *testing.T) {
	free, err := pki.NewCA("free")
	path := writeCA(t, free, err)
	onlyPrograms(t)
	t.Setenv("HOME", t.TempDir())
	output, err := trust(t, "--browsers", "--ca", path)
	if !errors.Is(err, pki.ErrNotLocal) || !strings.Contains(err.Error(), "`stages reset`") || output != "" {
		t.Errorf("%q, %v", output, err)
	}
	if _, err := trust(t, "--browsers", "--data", t.TempDir()); err == nil || !strings.Contains(err.Error(), "--ca") {
		t.Errorf("without a deployment: %v", err)
	}
}

func TestTrustInTheSystemsStore(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the store is only exchanged on Linux")
	}
	local, err := pki.NewLocalCA("Keyladder workshop CA")
	path := writeCA(t, local, err)
	store := t.TempDir()
	name, command := truststore.SystemTrustFilename, truststore.SystemTrustCommand
	t.Cleanup(func() { truststore.SystemTrustFilename, truststore.SystemTrustCommand = name, command })
	truststore.SystemTrustFilename, truststore.SystemTrustCommand = filepath.Join(store, "%s.crt"), []string{"true"}
	onlyPrograms(t, "tee", "rm", "true")
	stored := func() (found []string) {
		found, err := filepath.Glob(filepath.Join(store, "*.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	output, err := trust(t, "--ca", path)
	if !errors.Is(err, errTold) || !strings.Contains(output, "is trusted in the system's store") || !strings.Contains(output, "certutil is not installed. Install it") {
		t.Errorf("%v, %s", err, output)
	}
	found := stored()
	if len(found) != 1 {
		t.Fatalf("stored: %q", found)
	}
	if data, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(data, local.Certificate) {
		t.Errorf("stored: %q, %v", data, err)
	}
	if output, _ := trust(t, "--ca", path, "--undo"); !strings.Contains(output, "trusted no longer in the system's store") || len(stored()) > 0 {
		t.Errorf("still stored: %q, %s", stored(), output)
	}

	truststore.SystemTrustFilename = filepath.Join(store, "away", "%s.crt")
	output, err = trust(t, "--ca", path)
	if !errors.Is(err, errTold) || !strings.Contains(output, "NOT CHANGED: the system's store") || !strings.Contains(output, "It takes root") {
		t.Errorf("%v, %s", err, output)
	}
}

// A browser and, in CI, curl meet the resource server as they are, before, while and after its CA
// is trusted: for somebody who has used the browser before, and for somebody who has not.
func TestTrustInABrowser(t *testing.T) {
	testenv.Program(t, "certutil")
	testenv.Program(t, "chromium", "chromium-browser", "google-chrome")
	l := runLab(t)
	page := l.Addresses.URL(deployment.API) + "/tls/v1/accounts"

	args := []string{"trust", "--data", l.Dir}
	system := os.Getenv(testenv.Strict) != "" && os.Geteuid() == 0
	if !system {
		args = append(args, "--browsers")
	}
	undo := append(slices.Clone(args), "--undo")
	t.Cleanup(func() { _ = exec.Command("stages", undo...).Run() }) // also where the test fails
	stages := func(t *testing.T, args []string) string {            // a process of its own: it looks up the home folder when it starts
		t.Helper()
		output, err := exec.CommandContext(t.Context(), "stages", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, output)
		}
		return string(output)
	}
	meet := func(t *testing.T, what string, trusted bool) {
		t.Helper()
		shown, err := load(t, page)
		switch {
		case trusted && (err != nil || !strings.Contains(shown, "urn:keyladder:problem:")):
			t.Errorf("%s, the browser does not load %s: %v, %s", what, page, err, shown)
		case !trusted && (err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID")):
			t.Errorf("%s, the browser loads %s: %v, %s", what, page, err, shown)
		}
		if system {
			if output, err := exec.CommandContext(t.Context(), "curl", "-sS", "-o", os.DevNull, page).CombinedOutput(); (err == nil) != trusted {
				t.Errorf("%s, curl: %v %s", what, err, output)
			}
		}
	}
	for _, used := range []bool{true, false} {
		t.Run(fmt.Sprintf("used before: %v", used), func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("XDG_DATA_HOME", filepath.Join(home, ".local", "share"))
			if used {
				meet(t, "before", false)
			}
			if output := stages(t, args); !strings.Contains(output, "is trusted in "+home) || strings.Contains(output, filepath.Join(home, usualStore)) == used {
				t.Errorf("it says: %s", output)
			}
			meet(t, "trusted", true)
			stages(t, args) // once more changes nothing
			if output := stages(t, undo); !strings.Contains(output, "trusted no longer in "+home) {
				t.Errorf("it says: %s", output)
			}
			meet(t, "undone", false)
		})
	}
}

// load is the text that a fresh browser shows of a page.
func load(t *testing.T, page string) (text string, err error) {
	t.Helper()
	ctx := testenv.BrowserFor(t, 2*time.Minute)
	if err := chromedp.Do(ctx, chromedp.Navigate(page)); err != nil {
		return "", fmt.Errorf("load %s: %w", page, err)
	}
	return chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
}
