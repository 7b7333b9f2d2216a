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
	w, err := NewWriter(dir, Phone, "one", time.Now(), Local(Ports{PlainAPI: 8080}))
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
		{"lost package", func(t *testing.T, dir string) {
			write(t, dir, true)
			folder, err := Open(dir, Phone)
			if err == nil {
				err = folder.Replace(map[string][]byte{"a.pkg": []byte("a package")})
			}
			if err := errors.Join(err, os.Remove(filepath.Join(dir, "phone/a.pkg"))); err != nil {
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
			if err == nil && folder.Addresses.URL(PlainAPI) != "http://localhost:8080" {
				t.Errorf("addresses %+v", folder.Addresses)
			}
		})
	}
}

// TestReplaceIsInterrupted ends it after each of its steps, and in the middle of each.
func TestReplaceIsInterrupted(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"apps/a.json": []byte(`{"a":2}`), "apps/b.json": []byte("added"), "c.pkg": []byte("added, too")}
	for done := range 6 {
		t.Run(fmt.Sprint(done, " steps"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, true)
			folder, err := Open(dir, Phone)
			if err != nil {
				t.Fatal(err)
			}
			steps := folder.replacing(files)
			if len(steps) != 5 {
				t.Fatalf("%d steps", len(steps))
			}
			for _, step := range steps[:done] {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"apps/a.json", "apps/b.json", "c.pkg", manifestFile} {
				if err := os.WriteFile(folder.Path(name)+".partial", []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			folder, err = Open(dir, Phone)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := folder.Read("apps/a.json"); err != nil || string(data) != map[bool]string{false: `{"a":1}`, true: `{"a":2}`}[done > 1] {
				t.Errorf("%s, %v", data, err)
			}
			if there := len(folder.Packages()) == 1; there != (done > 3) {
				t.Errorf("packages %v", folder.Packages())
			}
			if err := folder.Replace(files); err != nil {
				t.Fatal(err)
			}
			folder, err = Open(dir, Phone)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range files {
				if data, err := folder.Read(name); err != nil || !bytes.Equal(data, want) {
					t.Errorf("%s: %s, %v", name, data, err)
				}
			}
			left, err := filepath.Glob(filepath.Join(folder.Dir, "*", "*.partial"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			// From here on, only the new ones are good.
			if err := os.WriteFile(folder.Path("apps/a.json"), []byte(`{"a":1}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Phone); !errors.Is(err, ErrChanged) {
				t.Errorf("the old file is good again: %v", err)
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
