package statefile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"keyladder/internal/statefile"
)

// On a full disk nothing can be written, and it is so again when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no disk of one's own: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	if err := statefile.CanWrite(dir); err != nil {
		t.Error(err)
	}
	full := filepath.Join(dir, "full")
	if err := os.WriteFile(full, make([]byte, 256<<10), 0o600); err == nil {
		t.Log("it took more than it has room for")
	}
	if statefile.CanWrite(dir) == nil {
		t.Error("a full disk can be written to")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	if err := statefile.CanWrite(dir); err != nil {
		t.Error(err)
	}
}
