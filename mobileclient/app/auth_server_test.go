package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/workshop/lab/testbank"
)

// TestAtTheAuthorizationServer uses the app with the bank's own authorization server, whose
// access tokens live two seconds: calls at the same time and a restart after they have expired,
// and a copy of the storage, whose use ends the sign-in on both phones.
func TestAtTheAuthorizationServer(t *testing.T) {
	t.Parallel()
	stages := slices.DeleteFunc(catalog.All().Built(), func(s catalog.Stage) bool { return s.Call.Grant != catalog.CodeAndRefresh })
	if testing.Short() {
		stages = stages[len(stages)-1:]
	}
	for _, stage := range stages {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			b := newBenchAt(t, testbank.Start(t, testbank.Options{ShortTokens: 2 * time.Second}))
			app := b.launch(t, stage.Slug)
			if screen := b.enter(t, app, "alice"); !screen.OK || screen.User != "alice" {
				t.Fatalf("%+v", screen)
			}
			accounts := func(app *device.App) string {
				t.Helper()
				if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
					t.Errorf("%+v", screen)
				}
				_, used, err := token.Shown(b.last(t).Header)
				if err != nil {
					t.Fatal(err)
				}
				return used
			}
			first := accounts(app)
			time.Sleep(2 * time.Second) // its whole life
			var calls sync.WaitGroup
			for range 8 {
				calls.Go(func() {
					if screen, err := app.Accounts(t.Context()); err != nil || !screen.OK {
						t.Errorf("%+v, %v", screen, err)
					}
				})
			}
			calls.Wait()
			if accounts(app) == first {
				t.Error("the token was not renewed")
			}
			if err := app.Close(); err != nil {
				t.Fatal(err)
			}
			app = b.launch(t, stage.Slug)
			accounts(app)

			// Somebody puts a copy of the storage on a phone of their own.
			stored, err := b.device.Backup(appName)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // what is left of the access token
			accounts(app)
			b.device = b.newPhone(t)
			b.install(t, stage.Slug)
			if err := b.device.Restore(appName, stored); err != nil {
				t.Fatal(err)
			}
			copied := b.launch(t, stage.Slug)
			ended := func(screen device.Screen) bool {
				return !screen.OK && !screen.SignedIn && strings.Contains(screen.Error, "You are signed out")
			}
			if screen := shown(t)(copied.Accounts(t.Context())); !ended(screen) {
				t.Errorf("with a refresh token that was used already: %+v", screen)
			}
			screen := shown(t)(app.Accounts(t.Context()))
			for until := time.Now().Add(10 * time.Second); !ended(screen) && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
				screen = shown(t)(app.Accounts(t.Context())) // the revocation is on its way to the API
			}
			if !ended(screen) {
				t.Errorf("the family has ended: %+v", screen)
			}
		})
	}
}
