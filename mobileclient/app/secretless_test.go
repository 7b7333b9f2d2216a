package main

import (
	"context"
	"maps"
	"os"
	"testing"

	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release/releasetest"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// TestNoSecretInTheApp uses the app of a release that carries no secret, and searches its package and
// its memory for all that the bank's servers know, in every form that people search for. What the app
// of the release before has is found in its memory in the same way.
func TestNoSecretInTheApp(t *testing.T) {
	t.Parallel()
	processAlone(t)
	for _, stage := range catalog.All().Built() {
		if stage.Package.Secrets == catalog.NoSecrets {
			t.Run(stage.Slug, func(t *testing.T) {
				t.Parallel()
				b := newBenchAt(t, testbank.Start(t, testbank.Options{}))
				needles := b.secrets(t)
				maps.Copy(needles, releasetest.Names())
				delete(needles, "the name SERVER_PINS") // which are no secrets
				pkg, err := os.ReadFile(b.pack(t, stage, appName))
				if err != nil {
					t.Fatal(err)
				}
				for what, how := range needles.Find(pkg) {
					t.Errorf("in the package: %s as %s", what, how)
				}
				for what, how := range b.remembered(t, stage, needles) {
					t.Errorf("in its memory: %s as %s", what, how)
				}
			})
		}
	}
	t.Run("the search finds what is there", func(t *testing.T) {
		t.Parallel()
		b := newBenchAt(t, testbank.Start(t, testbank.Options{}))
		const what = "the secret of harbour-mobile, of the program auth"
		if found := b.remembered(t, lookup(t, challenged), b.secrets(t)); found[what] == "" {
			t.Errorf("%s was not found: %v", what, found)
		}
	})
}

// secrets are what nobody but servers is to know, and what the app had in releases before.
func (b *bench) secrets(t *testing.T) releasetest.Needles {
	t.Helper()
	needles := releasetest.Needles{}
	for what, secret := range b.bank.Secrets() {
		needles[what] = []byte(secret)
	}
	for what, value := range releasetest.Values(t, b.settings) {
		if len(what) < 4 || what[:4] != "pin " {
			needles[what] = value
		}
	}
	return needles
}

// remembered is what of the needles is in the memory of the app, after alice has signed in and paid.
func (b *bench) remembered(t *testing.T, stage catalog.Stage, needles releasetest.Needles) map[string]string {
	t.Helper()
	app := b.launch(t, stage.Slug)
	b.signIn(t, app, stage.Call)
	for _, do := range []func(context.Context) (device.Screen, error){
		app.Accounts, func(ctx context.Context) (device.Screen, error) { return app.Transfer(ctx, payment()) },
	} {
		if screen := shown(t)(do(t.Context())); !screen.OK {
			t.Fatalf("%+v", screen)
		}
	}
	found := map[string]string{}
	bytes, err := debugger.EachWritable(t.Context(), app.PID(), func(_ uint64, memory []byte) {
		maps.Copy(found, needles.Find(memory))
	})
	if err != nil {
		t.Skip(err)
	}
	if bytes == 0 {
		t.Error("nothing was searched")
	}
	return found
}
