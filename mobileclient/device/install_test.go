package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/release"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	genuine := packaged(t, developer, release.Manifest{}, "")
	resigned := packaged(t, stranger, release.Manifest{}, "")
	tampered := filepath.Join(t.TempDir(), "tampered.pkg")
	data, err := os.ReadFile(genuine)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	unsigned := filepath.Join(t.TempDir(), "unsigned.pkg")
	for path, content := range map[string][]byte{tampered: data, unsigned: data[:len(data)-1]} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name       string
		before     string // installed first
		sideloaded bool
		path       string
		want       error
	}{
		{name: "genuine", path: genuine},
		{name: "genuine again", before: genuine, path: genuine},
		{name: "changed", path: tampered, want: release.ErrSignature},
		{name: "changed, with sideloading", sideloaded: true, path: tampered, want: release.ErrSignature},
		{name: "unsigned, with sideloading", sideloaded: true, path: unsigned, want: release.ErrUnsigned},
		{name: "another signer", path: resigned, want: ErrSideloading},
		{name: "another signer, with sideloading", sideloaded: true, path: resigned},
		{name: "another signer as update", before: genuine, sideloaded: true, path: resigned, want: ErrOtherSigner},
		{name: "missing", path: genuine + "x", want: os.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			if test.before != "" {
				install(t, d, test.before)
			}
			if err := d.AllowSideloading(test.sideloaded); err != nil {
				t.Fatal(err)
			}
			installed, err := d.Install(test.path)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && installed.Genuine != (test.path == genuine) {
				t.Errorf("genuine: %v", installed.Genuine)
			}
			if left, _ := filepath.Glob(filepath.Join(d.config.Dir, "packages", ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestInstalledThoughNotWrittenDown: when the device can't write down what was installed, it says so, and
// what is there now can be started.
func TestInstalledThoughNotWrittenDown(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	path := packaged(t, developer, release.Manifest{}, "")
	if err := os.Mkdir(filepath.Join(d.config.Dir, stateFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Install(path); err == nil {
		t.Fatal("it is written down in a folder")
	}
	launch(t, d, d.Installed()[0].Name)
}

func TestAppKnowsNothingButItsPackage(t *testing.T) {
	t.Setenv("KEYLADDER_SECRET_OF_THE_PARENT", "leaked")
	d := newDevice(t)
	installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
	app := launch(t, d, installed.Name)
	facts := do[struct{ Env, Args []string }](t, app, "facts")
	if len(facts.Env) > 0 || !slices.Equal(facts.Args, []string{installed.Name}) {
		t.Errorf("environment %q, arguments %q", facts.Env, facts.Args)
	}
	if app.Measurement() != installed.SHA256 || app.PID() == os.Getpid() {
		t.Errorf("measured %s, installed %s, process %d", app.Measurement(), installed.SHA256, app.PID())
	}
	if runtime.GOOS != "linux" {
		return
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", app.PID())); err != nil || strings.TrimSpace(string(name)) != installed.Name {
		t.Errorf("the process is called %q, %v", name, err)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", app.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, descriptor := range descriptors {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", app.PID(), descriptor.Name()))
		system := target == "/dev/null" || strings.HasPrefix(target, "/sys/fs/cgroup/") // the Go runtime looks there
		if strings.HasPrefix(target, "/") && !system {
			t.Errorf("descriptor %s is %s", descriptor.Name(), target)
		}
	}
}

func TestLaunchRefuses(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	d := newDevice(t)
	installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
	if _, err := d.Launch(t.Context(), "com.example.other", "app-id"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("not installed: %v", err)
	}
	if _, err := d.Launch(t.Context(), installed.Name, "unknown"); err == nil || !strings.Contains(err.Error(), "no such stage") {
		t.Errorf("the app's own error: %v", err)
	}
	install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.crash"}, "crash"))
	if _, err := d.Launch(t.Context(), "com.example.crash", "app-id"); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "the assets are missing") {
		t.Errorf("crash: %v", err)
	}
	if err := os.Chmod(installed.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(installed.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("!"); err != nil {
		t.Fatal(err)
	}
	file.Close()
	if runtime.GOOS != "linux" { // where it is the file that starts
		if _, err := d.Launch(t.Context(), installed.Name, "app-id"); !errors.Is(err, ErrChanged) {
			t.Errorf("changed behind the device's back: %v", err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Launch(t.Context(), installed.Name, "app-id"); !errors.Is(err, ErrClosed) {
		t.Errorf("switched off: %v", err)
	}
	again, err := New(d.config)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Launch(t.Context(), installed.Name, "app-id"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("changed while it was switched off: %v", err)
	}
	install(t, again, packaged(t, developer, release.Manifest{}, ""))
	launch(t, again, installed.Name)
}

func TestUpdateEndsTheRunningApp(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{Release: 1}, "")).Name)
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	<-app.Done()
	facts := do[struct{ Release int }](t, launch(t, d, app.Package().Name), "facts")
	if facts.Release != 2 {
		t.Errorf("release %d runs", facts.Release)
	}
}

// TestManyLaunches starts and ends apps quickly and at once, and counts what is left.
func TestManyLaunches(t *testing.T) {
	d := newDevice(t)
	path := packaged(t, developer, release.Manifest{}, "")
	name := install(t, d, path).Name
	launch(t, d, name).Close()
	goroutines := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 4 {
				app, err := d.Launch(t.Context(), name, "app-id")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := app.Account(t.Context(), "facts"); err != nil {
					t.Error(err)
				}
				app.Close()
			}
		})
		all.Go(func() { // copies of programs are written while others are started
			other := newDevice(t)
			if _, err := other.Install(path); err != nil {
				t.Error(err)
				return
			}
			app, err := other.Launch(t.Context(), name, "app-id")
			if err != nil {
				t.Error(err)
				return
			}
			app.Close()
		})
	}
	all.Wait()
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines }, func() string {
		stacks := make([]byte, 1<<20)
		return string(stacks[:runtime.Stack(stacks, true)])
	})
	if files, err := filepath.Glob(filepath.Join(d.config.Dir, "packages", "*")); err != nil || len(files) != 1 {
		t.Errorf("files: %v, %v", files, err)
	}
}
