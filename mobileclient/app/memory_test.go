package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keyladder/mobileclient/release/releasetest"
	"keyladder/stages/catalog"
)

// TestSecretsStayInMemory uses the app where its package hides the secrets, restarts it,
// and searches every file that it can have written for them. It does not run beside other
// tests, whose files it would have to search, too.
func TestSecretsStayInMemory(t *testing.T) {
	for _, stage := range catalog.All().Built() {
		if stage.Package.Secrets != catalog.HiddenSecrets {
			continue
		}
		t.Run(stage.Slug, func(t *testing.T) {
			start := time.Now()
			b := newBench(t)
			for range 2 {
				app := b.launch(t, stage.Slug)
				b.signIn(t, app, stage.Call)
				if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
					t.Fatalf("%+v", screen)
				}
				if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
					t.Fatalf("%+v", screen)
				}
				if err := app.Close(); err != nil {
					t.Fatal(err)
				}
			}
			values := releasetest.Values(t, b.settings)
			secrets := maps.Clone(values)
			maps.Copy(secrets, releasetest.Names())

			phone := filepath.Dir(filepath.Dir(b.device.Storage(appName)))
			files := written(t, phone, time.Time{})
			least := 1 // what the device knows
			if stage.Call.Devices == catalog.RegisteredDevices {
				least++ // and the app's registration
			}
			if len(files) < least {
				t.Errorf("only %v were found", files)
			}
			for _, found := range searched(files, secrets) {
				t.Error("on the phone: ", found)
			}
			// A process without environment has these for temporary files, and begins in the root.
			for _, folder := range []string{"/", "/tmp", "/var/tmp", "/dev/shm"} {
				for _, found := range searched(written(t, folder, start, b.bank.Folders()...), values) {
					t.Errorf("in %s: %s", folder, found)
				}
			}

			// The search finds what is there.
			folder, err := os.MkdirTemp("/tmp", "keyladder-written-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(folder)
			for _, folder := range []string{folder, filepath.Join(phone, "storage")} {
				text := base64.StdEncoding.EncodeToString([]byte("a:" + b.settings.SharedSecret))
				if err := os.WriteFile(filepath.Join(folder, "written"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if len(searched(written(t, phone, time.Time{}), secrets)) != 1 || len(searched(written(t, "/tmp", start, b.bank.Folders()...), values)) < 1 {
				t.Error("a secret that was written down was not found")
			}
		})
	}
}

// written are the files below a folder, but for packages, which are searched elsewhere.
// With a time, these are the files that were written since in folders that were changed
// since: others write there, too. The bank, which has the same secrets, writes into folders
// that are left out.
func written(t *testing.T, folder string, since time.Time, but ...string) []string {
	t.Helper()
	since = since.Add(-time.Second) // file systems do not all count in nanoseconds
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		var info os.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		switch {
		case slices.Contains(but, path):
			return fs.SkipDir
		case errors.Is(err, os.ErrNotExist) && path != folder:
			return nil // gone meanwhile
		case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
			return fs.SkipDir // no file of the app's
		case err != nil:
			return err
		case entry.IsDir() && path != folder && (info.ModTime().Before(since) || folder == "/"):
			return fs.SkipDir
		case entry.Type().IsRegular() && !info.ModTime().Before(since) && filepath.Ext(path) != ".pkg" && info.Size() < 8<<20:
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// searched is where the needles are.
func searched(files []string, needles releasetest.Needles) []string {
	var places []string
	for _, path := range files {
		data, _ := os.ReadFile(path) // it may be gone
		for what, how := range needles.Find(data) {
			places = append(places, fmt.Sprintf("%s is in %s as %s", what, path, how))
		}
	}
	return places
}
