package factory_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/factory"
	"keyladder/stages/mechanism/pin"
)

// TestDevicesAreMadeOnce: a device keeps the hardware that it has, and two are never the same.
func TestDevicesAreMadeOnce(t *testing.T) {
	t.Parallel()
	root, err := pki.NewRoot("maker")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := root.Intermediate("plant")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	folder := &deployment.Folder{Dir: dir}
	if _, err := factory.Open(folder); !errors.Is(err, factory.ErrNone) {
		t.Fatalf("a plant of nothing: %v", err)
	}
	system := pin.Of(root.X509())
	for name, data := range map[string][]byte{factory.SystemFile: []byte(system), factory.PairFile + ".pem": ca.Pair.Certificate, factory.PairFile + "-key.pem": ca.Key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plant, err := factory.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	made := func(name string) []byte {
		if err := plant.Make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, name, "made.json"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := made("one")
	if !bytes.Equal(made("one"), first) {
		t.Error("it was made anew")
	}
	if bytes.Equal(made("two"), first) {
		t.Error("two are the same")
	}
	if err := (*factory.Plant)(nil).Make(filepath.Join(dir, "three")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, factory.SystemFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := factory.Open(folder); err == nil {
		t.Error("a plant that does not know the maker's system")
	}
}
