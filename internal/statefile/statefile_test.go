package statefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"keyladder/internal/statefile"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path+".partial", []byte("left by a program that was killed, and longer than what follows"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, write := range map[string]func(string, []byte) error{"one": statefile.Write, "other": statefile.Replace} {
		if err := write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != text {
			t.Errorf("%q, %v", data, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCanWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := statefile.CanWrite(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if statefile.CanWrite(filepath.Join(dir, "gone")) == nil {
		t.Error("something can be written where no folder is")
	}
}
