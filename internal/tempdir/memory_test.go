package tempdir_test

import (
	"os"
	"path/filepath"
	"testing"

	"keyladder/internal/tempdir"
)

func TestInMemory(t *testing.T) {
	t.Setenv("TMPDIR", "") // which is put back at the end
	if err := tempdir.InMemory(); err != nil {
		t.Fatal(err)
	}
	t.Logf("temporary files are in %s", os.TempDir())
	if err := os.WriteFile(filepath.Join(t.TempDir(), "file"), []byte("any"), 0o600); err != nil {
		t.Error(err)
	}
}

func TestChosenFolderStays(t *testing.T) {
	chosen := t.TempDir()
	t.Setenv("TMPDIR", chosen)
	if err := tempdir.InMemory(); err != nil || os.TempDir() != chosen {
		t.Errorf("%s, %v", os.TempDir(), err)
	}
}
