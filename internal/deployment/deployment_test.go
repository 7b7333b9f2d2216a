package deployment

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, dir string, closed bool) {
	t.Helper()
	w, err := NewWriter(dir, Phone, "one", time.Now(), Addresses{Plain: "http://localhost:8080"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.File("apps/a.json", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if !closed {
		return
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    error
	}{
		{"nothing there", func(*testing.T, string) {}, ErrMissing},
		{"half-written", func(t *testing.T, dir string) { write(t, dir, false) }, ErrPartial},
		{"complete", func(t *testing.T, dir string) { write(t, dir, true) }, nil},
		{"half-written, then made anew", func(t *testing.T, dir string) { write(t, dir, false); write(t, dir, true) }, nil},
		{"changed file", func(t *testing.T, dir string) {
			write(t, dir, true)
			if err := os.WriteFile(filepath.Join(dir, "phone/apps/a.json"), []byte(`{"a":2}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrChanged},
		{"lost file", func(t *testing.T, dir string) {
			write(t, dir, true)
			if err := os.Remove(filepath.Join(dir, "phone/apps/a.json")); err != nil {
				t.Fatal(err)
			}
		}, ErrChanged},
		{"broken manifest", func(t *testing.T, dir string) {
			write(t, dir, true)
			if err := os.WriteFile(filepath.Join(dir, "phone", manifestFile), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrChanged},
		{"a database beside it", func(t *testing.T, dir string) {
			write(t, dir, true)
			if err := os.WriteFile(filepath.Join(dir, "phone/x.db"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.prepare(t, dir)
			folder, err := Open(dir, Phone)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && folder.Addresses.Plain != "http://localhost:8080" {
				t.Errorf("addresses %+v", folder.Addresses)
			}
		})
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, true)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && !entry.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A folder of an older program lacks files that this one needs.
func TestOtherLayoutIsNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, true)
	path := filepath.Join(dir, "phone", manifestFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := bytes.Replace(data, fmt.Appendf(nil, `"layout": %d`, layout), fmt.Appendf(nil, `"layout": %d`, layout-1), 1)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Phone); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("opened: %v", err)
	}
}
