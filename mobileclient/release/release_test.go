package release

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	stranger  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

func bank() Manifest {
	return Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1, Schemes: []string{"harbourbank"}}
}

func packed(t testing.TB, key ed25519.PrivateKey) []byte {
	t.Helper()
	data, err := Assemble([]byte("#!/bin/sh\necho it runs; exit 0\n"), bank(), map[string][]byte{
		SettingsFile: []byte(`{"SHARED_SECRET":"in the clear"}`), "icons/anchor.svg": []byte("<svg/>"),
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPackedIsReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, pkg := filepath.Join(dir, "program"), filepath.Join(dir, "app.pkg")
	code := []byte("#!/bin/sh\necho it runs; exit 0\n")
	if err := os.WriteFile(program, code, 0o600); err != nil {
		t.Fatal(err)
	}
	assets := map[string][]byte{SettingsFile: []byte(`{"SHARED_SECRET":"in the clear"}`), "a/b": nil}
	if err := Pack(pkg, program, bank(), assets, developer); err != nil {
		t.Fatal(err)
	}

	opened, err := Open(pkg)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bank(), opened.Manifest); diff != "" {
		t.Errorf("manifest: %s", diff)
	}
	if !opened.Signer.Equal(developer.Public()) {
		t.Errorf("signer: %x", opened.Signer)
	}
	gotCode, _, gotAssets, err := Read(pkg)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gotCode, code) {
		t.Errorf("program: %q", gotCode)
	}
	want := map[string][]byte{SettingsFile: assets[SettingsFile], "a/b": {}}
	if diff := cmp.Diff(want, gotAssets); diff != "" {
		t.Errorf("assets: %s", diff)
	}
	if _, own, err := Assets(pkg); err != nil || !cmp.Equal(own, want) {
		t.Errorf("assets as the app reads them: %v, %v", own, err)
	}

	// It runs as it is, zip tools open it as it is, and secrets lie in the open.
	if output, err := exec.CommandContext(t.Context(), pkg).CombinedOutput(); err != nil || !strings.HasPrefix(string(output), "it runs") {
		t.Errorf("run it: %q, %v", output, err)
	}
	if archive, err := zip.OpenReader(pkg); err != nil {
		t.Errorf("open it as a zip: %v", err)
	} else {
		archive.Close()
	}
	data, _ := os.ReadFile(pkg)
	if !bytes.Contains(data, []byte(`"SHARED_SECRET":"in the clear"`)) {
		t.Error("settings are not in the clear")
	}
	if measured := fmt.Sprintf("%x", sha256.Sum256(data)); opened.SHA256 != measured || opened.Size != int64(len(data)) {
		t.Errorf("the package is said to be %d bytes with the hash %s: it is %d with %s", opened.Size, opened.SHA256, len(data), measured)
	}

	again := filepath.Join(dir, "again.pkg")
	if err := Pack(again, program, bank(), assets, developer); err != nil {
		t.Fatal(err)
	}
	if second, err := Open(again); err != nil || second.SHA256 != opened.SHA256 {
		t.Errorf("packed again it is another file (%v)", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnzipReadsIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("unzip"); err != nil {
		t.Skip("no unzip on this machine")
	}
	pkg := filepath.Join(t.TempDir(), "app.pkg")
	if err := os.WriteFile(pkg, packed(t, developer), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), "unzip", "-p", pkg, SettingsFile).CombinedOutput()
	if err != nil || string(output) != `{"SHARED_SECRET":"in the clear"}` {
		t.Errorf("unzip: %q, %v", output, err)
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	t.Parallel()
	data := packed(t, developer)
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 1
		if _, err := Verify(changed); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrUnsigned) && !errors.Is(err, ErrMalformed) {
			t.Errorf("byte %d of %d changed: %v", i, len(data), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	data := packed(t, developer)
	changed := bytes.Clone(data)
	changed[0] ^= 1
	swapped := bytes.Clone(data) // another signer's name under the same signature
	copy(swapped[len(swapped)-blockSize+8:], stranger.Public().(ed25519.PublicKey))
	for _, test := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, ErrUnsigned},
		{"a program without signature", []byte(strings.Repeat("program", 50)), ErrUnsigned},
		{"cut off", data[:len(data)-1], ErrUnsigned},
		{"something behind the signature", append(bytes.Clone(data), 0), ErrUnsigned},
		{"something in front", append([]byte{0}, data...), ErrSignature},
		{"a changed program", changed, ErrSignature},
		{"another signer's name", swapped, ErrSignature},
		{"signed, but without assets", sign(append([]byte("program"), make([]byte, blockSize)...), 7, developer), ErrMalformed},
		{"a program longer than the file", sign(bytes.Clone(data), len(data), developer), ErrMalformed},
		{"assets inside the program", sign(bytes.Clone(data), len(data)-blockSize, developer), ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Verify(test.data); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestManifestIsChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*Manifest)
	}{
		{"a path as name", func(m *Manifest) { m.Name = "../../etc" }},
		{"no dot in the name", func(m *Manifest) { m.Name = "app" }},
		{"no label", func(m *Manifest) { m.Label = "" }},
		{"no release", func(m *Manifest) { m.Release = 0 }},
		{"the web's scheme", func(m *Manifest) { m.Schemes = []string{"https"} }},
		{"a scheme in capitals", func(m *Manifest) { m.Schemes = []string{"Harbour"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := bank()
			test.change(&m)
			if _, err := Assemble([]byte("program"), m, nil, developer); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want %v", err, ErrMalformed)
			}
		})
	}
}

func TestPackRefusesAssetNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "/etc/passwd", "../up", "a//b", ManifestFile} {
		if _, err := Assemble([]byte("program"), bank(), map[string][]byte{name: nil}, developer); err == nil {
			t.Errorf("an asset called %q was packed", name)
		}
	}
}

// TestAssetsAreBounded packs an archive whose entry is far larger unpacked.
func TestAssetsAreBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	out.WriteString("program")
	archive := zip.NewWriter(&out)
	archive.SetOffset(int64(out.Len()))
	w, err := archive.Create("bomb")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, maxAssets+1)); err != nil {
		t.Fatal(err)
	}
	if err := archive.SetComment(string(make([]byte, blockSize))); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(sign(out.Bytes(), len("program"), developer)); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v, want %v", err, errTooLarge)
	}
}

// FuzzPackage feeds the parsers with what strangers may send: whatever they accept
// must hold together, and nothing may be accepted as signed that was not.
func FuzzPackage(f *testing.F) {
	good := packed(f, developer)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[10:])
	f.Add(sign(append([]byte("program"), make([]byte, blockSize)...), 7, developer))
	f.Fuzz(func(t *testing.T, data []byte) {
		program, m, assets, err := read(data)
		if err == nil {
			if len(program) == 0 || m.validate() != nil {
				t.Errorf("accepted %+v with a program of %d bytes", m, len(program))
			}
			if _, there := assets[ManifestFile]; there {
				t.Error("the manifest is among the assets")
			}
		}
		if p, err := Verify(data); err == nil && p.Signer.Equal(developer.Public()) && !bytes.Equal(data, good) {
			t.Error("the developer's signature fits something that the developer did not sign")
		}
	})
}
