package device

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/release"
)

// TestWhatWasMeasuredRuns has somebody change the package between its measurement and its
// start, and between its start and when the app reads it.
func TestWhatWasMeasuredRuns(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	other, err := os.ReadFile(packaged(t, stranger, release.Manifest{Release: 2}, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(path string) error
	}{
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", other, 0o700), os.Rename(path+".new", path))
		}},
		{"overwritten", func(path string) error {
			return errors.Join(os.Chmod(path, 0o700), os.WriteFile(path, other, 0o700))
		}},
		{"removed", os.Remove},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
			image := d.images[installed.Name].file
			if _, err := image.WriteAt([]byte("!"), 0); err == nil { // what runs, nobody can write to anyway
				t.Error("what was measured can be overwritten before it runs")
			}
			if err := image.Truncate(0); err == nil {
				t.Error("what was measured can be cut off")
			}
			running := launch(t, d, installed.Name)
			if err := test.change(installed.Path); err != nil {
				t.Fatal(err)
			}
			app := launch(t, d, installed.Name)
			if started := do[struct{ Release int }](t, app, "facts").Release; started != 1 || app.Measurement() != installed.SHA256 {
				t.Errorf("changed before the start: release %d runs, measured %s", started, app.Measurement())
			}
			if read := do[release.Manifest](t, running, "package").Release; read != 1 {
				t.Errorf("changed after the start: the app reads release %d", read)
			}
			for _, runs := range []string{
				fmt.Sprintf("/proc/%d/exe", app.PID()), fmt.Sprintf("/proc/self/fd/%d", image.Fd()),
			} {
				if err := os.WriteFile(runs, other, 0o700); err == nil {
					t.Errorf("what runs can be overwritten: %s", runs)
				}
			}
		})
	}
}

// TestShelf has several devices install from one, while the file is replaced.
func TestShelf(t *testing.T) {
	t.Parallel()
	path := packaged(t, developer, release.Manifest{}, "")
	var shelf Shelf
	var devices sync.WaitGroup
	for range 4 {
		devices.Go(func() {
			d := newDevice(t)
			installed, err := shelf.Install(d, path)
			if err != nil {
				t.Error(err)
				return
			}
			if on, err := os.ReadFile(installed.Path); err != nil || installed.Path == path || fmt.Sprintf("%x", sha256.Sum256(on)) != installed.SHA256 {
				t.Errorf("the device has no copy of its own: %s, %v", installed.Path, err)
			}
		})
	}
	devices.Wait()
	if len(shelf.images) != 1 {
		t.Errorf("measured %d times", len(shelf.images))
	}
	if err := os.Rename(packaged(t, developer, release.Manifest{Release: 2}, ""), path); err != nil {
		t.Fatal(err)
	}
	d := newDevice(t)
	installed, err := shelf.Install(d, path)
	if err != nil || installed.Release != 2 {
		t.Fatalf("release %d of the new file, %v", installed.Release, err)
	}
	shelf.Close()
	if facts := do[struct{ Release int }](t, launch(t, d, installed.Name), "facts"); facts.Release != 2 {
		t.Errorf("release %d runs when the shelf is gone", facts.Release)
	}
	stranger := packaged(t, stranger, release.Manifest{}, "")
	if _, err := shelf.Install(newDevice(t), stranger); !errors.Is(err, ErrSideloading) {
		t.Errorf("a stranger's package on it: %v", err)
	}
}
