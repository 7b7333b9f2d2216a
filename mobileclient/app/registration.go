package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/protect"
)

// registrationItem is the place in the app's storage of how the server knows this
// installation; devices are registered per stage.
func (a *harbourApp) registrationItem() string { return "device." + a.stage }

// loadRegistration takes up an earlier registration. One that was made on another phone,
// and came here in a backup, is of no use: the server knows it under another identifier.
func (a *harbourApp) loadRegistration() error {
	if !a.knowsDevices() {
		return nil
	}
	identifier, err := a.system.Identifier()
	if err != nil {
		return err
	}
	var stored protect.Installation
	if err := a.loadItem(a.registrationItem(), &stored); err != nil {
		return err
	}
	if stored.GUID != "" && stored.Identifier == identifier {
		a.registered = &stored
	}
	return nil
}

// register makes this installation known to the server, unless it is: on the app's first
// start or, where that failed, before its first call. It returns what to show where it
// fails. The server can't tell whether there is a phone behind an identifier: what
// registration gives it is something to ban.
//
//keyladder:code app-device
func (a *harbourApp) register(ctx context.Context) (refused *sdk.Screen) {
	if !a.knowsDevices() {
		return nil
	}
	a.registering.Lock() // or two first calls would claim the same identifier
	defer a.registering.Unlock()
	if a.device() != nil {
		return nil
	}
	return a.claim(ctx)
}

// claim asks the server for a GUID for the phone's identifier. The caller holds
// a.registering.
func (a *harbourApp) claim(ctx context.Context) (refused *sdk.Screen) {
	identifier, err := a.system.Identifier()
	if err != nil {
		return &sdk.Screen{Error: err.Error()}
	}
	outcome := a.send(ctx, call{Call: protect.RegisterCall(identifier), settled: true})
	if !outcome.screen.OK {
		return &outcome.screen
	}
	made, err := protect.ReadInstallation(outcome.answer.Body, identifier)
	if err != nil {
		return &sdk.Screen{Status: outcome.screen.Status, Error: "The bank did not register this phone in a way that the app understands."}
	}
	if err := a.storeItem(a.registrationItem(), made); err != nil {
		return &sdk.Screen{Error: err.Error()}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.registered = &made
	return nil
}

// device is how the server knows this installation; nil: not yet.
func (a *harbourApp) device() *protect.Installation {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.registered
}

// storeItem keeps something in the app's storage.
func (a *harbourApp) storeItem(key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.system.Store(key, data)
}

// loadItem reads it again, and leaves value as it is where nothing is stored.
func (a *harbourApp) loadItem(key string, value any) error {
	data, err := a.system.Load(key)
	if errors.Is(err, sdk.ErrNotStored) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("the app's storage is damaged (%s): uninstall the app and install it again: %w", key, err)
	}
	return nil
}
