package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"keyladder/internal/problem"
)

// ownDisk is the variable that has this test run in a process with a disk of its own, which it
// names.
const ownDisk = "KEYLADDER_TEST_DISK"

// TestFullDisk asks a running server how it is while its disk is full: 503, and an error is
// printed. When there is room again, all is well again.
func TestFullDisk(t *testing.T) {
	if disk := os.Getenv(ownDisk); disk != "" {
		fillDisk(t, disk)
		return
	}
	// A tmpfs, in namespaces of its own: that takes no rights.
	command := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	command.Env = append(os.Environ(), ownDisk+"="+t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	output, err := command.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || strings.Contains(string(output), "no disk of its own") {
		t.Skipf("SKIPPED, NOT TESTED: this system gives no disk of its own: %v\n%s", err, output)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if said := regexp.MustCompile(`level=ERROR msg=health error="nothing can be written: .*no space left on device`); !said.Match(output) {
		t.Errorf("no error is printed:\n%s", output)
	}
}

func fillDisk(t *testing.T, disk string) {
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatalf("no disk of its own: %v", err)
	}
	t.Setenv("TMPDIR", disk)
	server := start(t, deploy(t))
	if err := server.healthy(); err != nil {
		t.Errorf("with room: %v", err)
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	var refused *problem.Problem
	if err := server.healthy(); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("with a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := server.healthy(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
}
