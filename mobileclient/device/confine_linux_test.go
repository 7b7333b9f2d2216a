package device

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/device/confine"
	"keyladder/mobileclient/release"
)

// What an app on the phone can't do: a program that somebody has installed runs as whoever
// started the phone, but does not get at what is theirs.
func TestAppIsConfined(t *testing.T) {
	for _, weakness := range confine.Weaknesses() {
		testenv.Missing(t, "a machine without this: %s", weakness)
	}
	secret := filepath.Join(t.TempDir(), "developer-key.pem")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	for what, refused := range map[string]bool{
		"read " + secret:   true,
		"read /etc/passwd": true,
		"read " + filepath.Join(d.config.Dir, stateFile):          true,
		"list " + d.config.Dir:                                    true,
		"list /":                                                  true,
		"write " + filepath.Join(t.TempDir(), "file"):             true,
		"write /tmp/keyladder-test-of-an-app":                     true,
		"write /proc/sys/kernel/core_pattern":                     true,
		"connect " + listener.Addr().String():                     true,
		"send " + listener.Addr().String():                        true,
		"listen 127.0.0.1:0":                                      true,
		fmt.Sprintf("signal %d", os.Getpid()):                     true,
		fmt.Sprintf("read /proc/%d/environ", os.Getpid()):         true,
		fmt.Sprintf("read /proc/%d/maps", os.Getpid()):            true,
		fmt.Sprintf("read /proc/%d/mem", os.Getpid()):             true,
		fmt.Sprintf("read /proc/%d/fd/0", os.Getpid()):            true,
		fmt.Sprintf("read /proc/%d/root/etc/passwd", os.Getpid()): true,
		"read /proc/self/status":                                  false,
		"read /proc/self/maps":                                    false,
		"read /proc/self/exe":                                     false,
	} {
		if _, err := app.Account(t.Context(), what); (err != nil) != refused {
			t.Errorf("%s: %v, refused must be %v", what, err, refused)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", app.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(string(status), want) && (os.Geteuid() == 0 || strings.HasPrefix(want, "No")) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	var files unix.Rlimit
	if err := unix.Prlimit(app.PID(), unix.RLIMIT_NOFILE, nil, &files); err != nil || files.Max != confine.MaxDescriptors {
		t.Errorf("descriptors: %+v, %v", files, err)
	}
	if group, err := unix.Getpgid(app.PID()); err != nil || group != app.PID() {
		t.Errorf("process group %d, %v", group, err)
	}
	// The phone still reaches the app, as attacks do.
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", app.PID()))
	if err != nil {
		t.Fatalf("the phone can't read the app's memory: %v", err)
	}
	memory.Close()
	// And this process is as free as before.
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Errorf("the phone itself is confined: %v", err)
	}
}

// A child that an app has started ends with the app.
func TestChildrenOfAppsEnd(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	child := do[int](t, app, "fork")
	if err := unix.Kill(child, 0); err != nil {
		t.Fatalf("there is no child: %v", err)
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for running(child) {
		if time.Now().After(deadline) {
			t.Fatal("the child lives on")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// running is whether a process is there and not just a name that nobody has waited for.
func running(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}
