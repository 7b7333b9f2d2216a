package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyladder/mobileclient/release"
)

func TestAppsEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*Device, *App) error
	}{
		{"when they are closed", func(_ *Device, a *App) error { return a.Close() }},
		{"when the device is switched off", func(d *Device, _ *App) error { return d.Close() }},
		{"when they are uninstalled", func(d *Device, a *App) error { return d.Uninstall(a.Package().Name) }},
		{"when they are killed", func(_ *Device, a *App) error { return process(a.PID()).Kill() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
			hanging := make(chan error, 1)
			go func() {
				_, err := app.Account(context.Background(), "hang")
				hanging <- err
			}()
			if err := test.end(d, app); err != nil {
				t.Fatal(err)
			}
			<-app.Done()
			if err := <-hanging; !errors.Is(err, ErrStopped) {
				t.Errorf("a call under way: got %v, want %v", err, ErrStopped)
			}
			if _, err := app.Account(t.Context(), "facts"); !errors.Is(err, ErrStopped) {
				t.Errorf("a call afterwards: got %v, want %v", err, ErrStopped)
			}
			if err := process(app.PID()).Signal(syscall.Signal(0)); !gone(err) {
				t.Errorf("the process is still there: %v", err)
			}
			if err := app.Close(); err != nil {
				t.Errorf("closing it again: %v", err)
			}
		})
	}
}

// process is the one with that number, which may have ended.
func process(pid int) *os.Process {
	p, err := os.FindProcess(pid)
	if err != nil {
		panic(err) // on Windows alone, where the phone does not run
	}
	return p
}

// gone is whether a signal found no process.
func gone(err error) bool { return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) }

func TestDeafAppIsKilled(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	name := install(t, d, packaged(t, developer, release.Manifest{}, "deaf")).Name
	if _, err := d.Launch(t.Context(), name, "app-id"); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want %v", err, ErrStopped)
	}
}

// TestAppDiesWithItsPhone kills the phone, which gets no chance to tell the app.
func TestAppDiesWithItsPhone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := newDevice(t, func(c *Config) { c.Dir = dir })
	install(t, d, packaged(t, developer, release.Manifest{}, ""))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	phone := exec.Command(self)
	phone.Env = []string{asPhone + "=" + dir}
	phone.Stderr = os.Stderr
	out, err := phone.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := phone.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Error(err)
	}
	if err := phone.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = phone.Wait() // it was killed
	if pid == 0 {
		return
	}
	waitFor(t, func() bool { return ended(pid) }, func() string { return fmt.Sprintf("the app, process %d, is still there", pid) })
}

// ended is whether a process is gone, or dead and nobody has asked how it died.
func ended(pid int) bool {
	if gone(process(pid).Signal(syscall.Signal(0))) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

func TestExitOfTheAppIsTold(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	if _, err := app.Account(t.Context(), "exit"); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("got %v", err)
	}
	if _, err := d.Launch(t.Context(), app.Package().Name, "app-id"); err != nil {
		t.Errorf("launch it again: %v", err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := app.Account(ctx, "hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	do[any](t, app, "facts") // others are still answered
}
