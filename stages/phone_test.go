package main

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// Commands that take the same phone at the same time all get the same app's key, though each finds no
// phone there: one makes it, and the others wait.
func TestOnePhoneForSeveralCommands(t *testing.T) {
	t.Parallel()
	folder := folderOf(t, runLab(t), deployment.Phone)
	all := catalog.All()
	stage := all[slices.IndexFunc(all, func(s catalog.Stage) bool { return s.Call.Binding == catalog.TokenOfKey })]
	taken := phone{dir: filepath.Join(t.TempDir(), "phone")}
	keys := make([]string, 6)
	var commands sync.WaitGroup
	for i := range keys {
		commands.Go(func() {
			app, err := taken.open(folder, stage)
			if err != nil {
				t.Error(err)
				return
			}
			defer app.Close()
			caller, _, err := shippedCaller(folder, stage)
			if err == nil {
				caller, err = app.Equip(caller)
			}
			if err != nil {
				t.Error(err)
				return
			}
			key, err := jwk.OfSigner(caller.Identity().Key)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key.Thumbprint()
		})
	}
	commands.Wait()
	if slices.Sort(keys); len(slices.Compact(keys)) != 1 {
		t.Errorf("the commands have the keys %q", keys)
	}
}
