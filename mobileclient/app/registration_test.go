package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			if screen, err := app.Accounts(t.Context()); err != nil || !screen.OK {
				t.Errorf("%+v, %v", screen, err)
			}
		})
	}
	together.Wait()
	if n := count(b.bank.Calls(), "POST /v1/devices"); n != 1 {
		t.Errorf("registered %d times", n)
	}
	first := b.last(t)

	restarted := b.launch(t, "hmac")
	if screen := shown(t)(restarted.Accounts(t.Context())); !screen.OK {
		t.Fatalf("after a restart: %+v", screen)
	}
	second := b.last(t)
	for _, field := range []string{"Device-Id", "Device-Guid"} {
		if first.Header.Get(field) == "" || first.Header.Get(field) != second.Header.Get(field) {
			t.Errorf("%s: %q, then %q", field, first.Header.Get(field), second.Header.Get(field))
		}
	}

	other := b.launch(t, "hidden-secrets")
	if screen := shown(t)(other.Accounts(t.Context())); !screen.OK {
		t.Fatalf("at another stage: %+v", screen)
	}
	third := b.last(t)
	if third.Header.Get("Device-Guid") == first.Header.Get("Device-Guid") || third.Header.Get("Device-Id") != first.Header.Get("Device-Id") {
		t.Errorf("at another stage: %v", third.Header)
	}

	if err := b.device.Uninstall(appName); err != nil {
		t.Fatal(err)
	}
	anew := b.launch(t, "hmac")
	if screen := shown(t)(anew.Accounts(t.Context())); !screen.OK {
		t.Fatalf("installed anew: %+v", screen)
	}
	if last := b.last(t); last.Header.Get("Device-Id") == first.Header.Get("Device-Id") {
		t.Error("installed anew, it is the same device")
	}
}

// TestFirstStart registers the phone before anybody asks for anything, where there is a bank.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 2 {
		b.launch(t, "hmac")
	}
	if calls := b.bank.Calls(); len(calls) != 1 || calls[0] != "POST /v1/devices" {
		t.Errorf("two starts: %v", calls)
	}

	b = newBench(t)
	if err := b.device.SetNetwork(device.Network{Proxy: "http://127.0.0.1:1"}); err != nil { // where nobody listens
		t.Fatal(err)
	}
	app := b.launch(t, "hmac")
	if screen := shown(t)(app.Home(t.Context())); !screen.OK || len(b.bank.Calls()) != 0 {
		t.Errorf("offline: %+v", screen)
	}
	if err := b.device.SetNetwork(device.Network{}); err != nil {
		t.Fatal(err)
	}
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || len(b.bank.Calls()) != 2 {
		t.Errorf("on line: %+v, %v", screen, b.bank.Calls())
	}
}

func TestDeviceIsTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	// The app loses what it stored, and with it the proof that it is this device.
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.device.Erase(appName); err != nil {
		t.Fatal(err)
	}
	before := len(b.bank.Calls())
	screen := shown(t)(b.launch(t, "hmac").Accounts(t.Context()))
	if screen.OK || screen.Status != http.StatusConflict || screen.Error == "" {
		t.Errorf("%+v", screen)
	}
	if calls := b.bank.Calls()[before:]; len(calls) != 2 || calls[0] != "POST /v1/devices" || calls[1] != calls[0] {
		t.Errorf("when it was opened and when it was used, it tried %v", calls)
	}
}

// A bank that was set back knows no devices; one that has banned this one goes on
// refusing it.
func TestDeviceIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	b.bank.SetBack()
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("forgotten: %+v", screen)
	}
	devices, err := manage.Devices(t.Context(), b.bank.Manage(), manage.DeviceQuery{})
	if err != nil || devices.Total != 1 {
		t.Fatalf("%v, %v", devices, err)
	}
	if err := b.bank.Manage().Do(t.Context(), http.MethodPost, "/devices/"+devices.Devices[0].ID+"/ban", nil, nil); err != nil {
		t.Fatal(err)
	}
	before := len(b.bank.Calls())
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Status != http.StatusForbidden ||
		!strings.Contains(screen.Error, "did not let the app register it anew") {
		t.Errorf("banned: %+v", screen)
	}
	if calls := b.bank.Calls()[before:]; len(calls) != 2 || calls[1] != "POST /v1/devices" {
		t.Errorf("banned, it tried %v", calls)
	}
}

// A phone that an admin has removed registers again by itself, once, whatever its user does
// next, and stays signed in. The call that was refused for it is made again, and does what it
// is for once.
func TestDeviceIsRemoved(t *testing.T) {
	t.Parallel()
	const register = "POST /v1/devices"
	for _, stage := range []string{"hmac", "hidden-secrets", "user-session"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, stage)
			signIn := func() device.Screen { return shown(t)(app.SignIn(t.Context(), "alice", b.bank.Passwords["alice"])) }
			accounts := func() device.Screen { return shown(t)(app.Accounts(t.Context())) }
			pay := func() device.Screen {
				return shown(t)(app.Transfer(t.Context(), device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: "once"}))
			}
			steps := map[string]func() device.Screen{"accounts": accounts, "pay": pay}
			if stage == "user-session" {
				if screen := signIn(); !screen.OK {
					t.Fatalf("%+v", screen)
				}
				steps["sign in again"] = signIn
			} else if screen := accounts(); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			remove := func() {
				t.Helper()
				removed, err := manage.Post[manage.Changed](t.Context(), b.bank.Manage(), "/devices/remove", manage.DeviceSelection{All: true})
				if err != nil || removed.Changed != 1 {
					t.Fatalf("%d removed, %v", removed.Changed, err)
				}
			}
			for name, step := range steps {
				remove()
				before := len(b.bank.Calls())
				if screen := step(); !screen.OK {
					t.Errorf("%s: %+v", name, screen)
				}
				if n := count(b.bank.Calls()[before:], register); n != 1 {
					t.Errorf("%s: registered %d times", name, n)
				}
				before = len(b.bank.Calls())
				if screen := accounts(); !screen.OK || count(b.bank.Calls()[before:], register) != 0 {
					t.Errorf("after that: %+v", screen)
				}
			}
			booked, err := b.bank.Manage().Transfers(t.Context(), "once")
			if err != nil || len(booked) != 1 {
				t.Errorf("booked %d times, %v", len(booked), err)
			}
			if stage != "user-session" {
				return
			}
			remove()
			if screen := shown(t)(app.SignOut(t.Context())); !screen.OK {
				t.Errorf("signed out: %+v", screen)
			}
			if left := b.sessions(t); len(left) != 0 {
				t.Errorf("signed out, %d sessions are left", len(left))
			}
		})
	}
}
