package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/manage"
	"keyladder/stages/catalog/exposure"
	"keyladder/stages/workshop/lab"
)

// source makes a small source folder and goes there.
func source(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m", "README.md": "a", "main.go.txt": "left", "data/x.db": "1", ".git/HEAD": "1", "app/main.go": "package main",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	t.Chdir(filepath.Join(dir, "app"))
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A matrix that was kept is read again, as long as nothing has changed that a program is
// made from.
func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changed string
		want    error
	}{
		{"nothing", "", nil},
		{"README.md", "README.md", nil},
		{"data", "data/x.db", nil},
		{"what git keeps", ".git/HEAD", nil},
		{"a file beside go.mod", "main.go.txt", nil},
		{"what is written from a measurement", exposure.File, nil},
		{"a program", "app/main.go", lab.ErrOtherSource},
		{"a new file", "app/page.html", lab.ErrOtherSource},
		{"go.mod", "go.mod", lab.ErrOtherSource},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := source(t)
			file := filepath.Join(t.TempDir(), "matrix.json")
			t.Setenv(lab.MatrixKeptIn, file)
			before, err := lab.Source()
			if err != nil {
				t.Fatal(err)
			}
			matrix := manage.Matrix{
				Cells:   []manage.Cell{{Stage: "tls", Attack: "wiretap", Outcome: "blocked", Check: "tls", Evidence: []string{}, Steps: []string{"one"}, Tries: 2}},
				Genuine: []manage.Genuine{{Stage: "tls", OK: true}},
			}
			if err := lab.Keep(file, before, matrix); err != nil {
				t.Fatal(err)
			}
			if tt.changed != "" {
				write(t, filepath.Join(dir, tt.changed), "changed")
			}
			got, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(matrix, got); err == nil && diff != "" {
				t.Error(diff)
			}
			// What changed while it was measured is not kept as what is there now.
			if err := lab.Keep(file, before, matrix); !errors.Is(err, tt.want) {
				t.Errorf("kept: %v, want %v", err, tt.want)
			}
		})
	}
}

// Without a file the matrix is measured; with one that can't be read it is an error.
func TestNotKept(t *testing.T) {
	source(t)
	t.Setenv(lab.MatrixKeptIn, "")
	if _, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn); !errors.Is(err, lab.ErrNotKept) {
		t.Errorf("nothing is named: %v", err)
	}
	file := filepath.Join(t.TempDir(), "matrix.json")
	t.Setenv(lab.MatrixKeptIn, file)
	if _, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is no such file: %v", err)
	}
	write(t, file, "{")
	if _, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn); err == nil || errors.Is(err, lab.ErrNotKept) {
		t.Errorf("it is cut off: %v", err)
	}
	t.Chdir(t.TempDir())
	if _, err := lab.Source(); err == nil {
		t.Error("a folder without source has a hash")
	}
}
