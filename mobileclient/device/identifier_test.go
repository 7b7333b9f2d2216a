package device

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/statefile"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/release"
)

// identified is what the app is told that the device calls it.
func identified(t *testing.T, d *Device, name string) string {
	t.Helper()
	app := launch(t, d, name)
	defer app.Close()
	return do[string](t, app, "identifier")
}

func TestIdentifier(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	d := newDevice(t)
	first := packaged(t, developer, release.Manifest{}, "")
	name := install(t, d, first).Name
	other := install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.other"}, "")).Name

	made := identified(t, d, name)
	if made == "" || identified(t, d, name) != made {
		t.Errorf("after a restart of the app it is not %q", made)
	}
	if identified(t, d, other) == made {
		t.Error("another app has the same")
	}
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	if identified(t, d, name) != made {
		t.Error("after an update it is another")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = newDevice(t, func(c *Config) { c.Dir = d.config.Dir })
	if identified(t, d, name) != made {
		t.Error("after a restart of the phone it is another")
	}
	if err := d.Uninstall(name); err != nil {
		t.Fatal(err)
	}
	install(t, d, first)
	if identified(t, d, name) == made {
		t.Error("installed anew it is still the same")
	}
	elsewhere := newDevice(t)
	install(t, elsewhere, first)
	if identified(t, elsewhere, name) == made {
		t.Error("on another phone it is the same")
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	path := packaged(t, developer, release.Manifest{}, "")
	name := install(t, d, path).Name
	other := install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.other"}, "")).Name
	if items, err := d.Backup(name); err != nil || len(items) > 0 {
		t.Errorf("of an app that has stored nothing: %v, %v", items, err)
	}
	app := launch(t, d, name) // which stores the stage
	do[any](t, app, "store ../../odd key's value")
	do[any](t, app, "store empty ")
	if err := d.store(other, "secret", []byte("of another app")); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Write(filepath.Join(d.Storage(name), "not hexadecimal"), []byte("stray")); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"stage": []byte("app-id"), "../../odd": []byte("key's value"), "empty": {}}
	backup, err := d.Backup(name)
	if diff := cmp.Diff(want, backup); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}

	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	elsewhere := newDevice(t)
	install(t, elsewhere, path)
	if err := elsewhere.store(name, "older", []byte("gone")); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Restore(name, maps.Clone(backup)); err != nil {
		t.Fatal(err)
	}
	if restored, err := elsewhere.Backup(name); err != nil || !cmp.Equal(restored, want) {
		t.Errorf("restored: %v, %v", restored, err)
	}
	if err := elsewhere.Erase(name); err != nil {
		t.Fatal(err)
	}
	if left, err := elsewhere.Backup(name); err != nil || len(left) > 0 {
		t.Errorf("erased: %v, %v", left, err)
	}
}

func TestBackupOfNothing(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for what, do := range map[string]func() error{
		"back up": func() error { _, err := d.Backup("com.example.app"); return err },
		"restore": func() error { return d.Restore("com.example.app", nil) },
		"erase":   func() error { return d.Erase("com.example.app") },
		"name":    func() error { _, err := d.identifier("com.example.app"); return err },
	} {
		if err := do(); !errors.Is(err, ErrNotInstalled) {
			t.Errorf("%s: got %v, want %v", what, err, ErrNotInstalled)
		}
	}
}

func TestTaps(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	for what, tap := range map[string]func(context.Context) (Screen, error){
		"home": app.Home, "sign-out": app.SignOut,
		"sign-in": func(ctx context.Context) (Screen, error) { return app.SignIn(ctx, "alice", "secret") },
	} {
		screen, err := tap(t.Context())
		if err != nil || screen.User != what+map[string]string{"sign-in": " alice secret"}[what] {
			t.Errorf("%s: %+v, %v", what, screen, err)
		}
	}
}

// An app that logs without end fills no disk: its log begins anew.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	d := &Device{config: Config{Dir: t.TempDir()}}
	log, err := d.openLog("com.example.app")
	if err != nil {
		t.Fatal(err)
	}
	defer log.file.Close()
	line := bytes.Repeat([]byte("x"), 1000)
	for range 3000 {
		if n, err := log.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if n, err := log.Write(make([]byte, 2*maxLog)); n != 2*maxLog || err != nil { // dropped
		t.Fatal(n, err)
	}
	info, err := log.file.Stat()
	if err != nil || info.Size() > maxLog {
		t.Errorf("%v, %v", info.Size(), err)
	}
}
