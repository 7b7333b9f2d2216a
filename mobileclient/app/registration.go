package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"keyladder/mobileclient/device/sdk"
)

// registration is how the server knows this installation. It is kept in the app's
// storage, so that it is the same after a restart.
type registration struct {
	Identifier string `json:"identifier"` // the device's
	GUID       string `json:"guid"`       // the server's
}

// registrationKey is the place in the app's storage; devices are registered per stage.
func (p *plan) registrationKey() string { return "device." + p.stage }

// loadRegistration takes up an earlier registration. One that was made on another phone,
// and came here in a backup, is of no use: the server knows it under another identifier.
func (b *bank) loadRegistration() error {
	if !b.plan.devices {
		return nil
	}
	identifier, err := b.system.Identifier()
	if err != nil {
		return err
	}
	var stored registration
	if err := b.loadItem(b.plan.registrationKey(), &stored); err != nil {
		return err
	}
	if stored.GUID != "" && stored.Identifier == identifier {
		b.registered = &stored
	}
	return nil
}

// register makes this installation known to the server, unless it is: on the app's first
// start or, where that failed, before its first call. It returns what to show where it
// fails. The server can't tell whether there is a phone behind an identifier: what
// registration gives it is something to ban.
//
//keyladder:code app-device
func (b *bank) register(ctx context.Context) (refused *sdk.Screen) {
	if !b.plan.devices {
		return nil
	}
	b.registering.Lock() // or two first calls would claim the same identifier
	defer b.registering.Unlock()
	if b.device() != nil {
		return nil
	}
	return b.claim(ctx)
}

// claim asks the server for a GUID for the phone's identifier. The caller holds
// b.registering.
func (b *bank) claim(ctx context.Context) (refused *sdk.Screen) {
	identifier, err := b.system.Identifier()
	if err != nil {
		return &sdk.Screen{Error: err.Error()}
	}
	outcome := b.send(ctx, request{
		method: http.MethodPost, path: "/v1/devices", body: map[string]string{"identifier": identifier}, settled: true,
	})
	if !outcome.screen.OK {
		return &outcome.screen
	}
	made := registration{Identifier: identifier}
	if err := json.Unmarshal(outcome.screen.Body, &made); err != nil || made.GUID == "" || made.Identifier != identifier {
		return &sdk.Screen{Status: outcome.screen.Status, Error: "The bank did not register this phone in a way that the app understands."}
	}
	if err := b.storeItem(b.plan.registrationKey(), made); err != nil {
		return &sdk.Screen{Error: err.Error()}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.registered = &made
	return nil
}

// sendKnown makes a call from this installation. A server that does not know it any more,
// for example because it was set back, is told once more. One that has banned it goes on
// refusing: the identifier is taken.
func (b *bank) sendKnown(ctx context.Context, r request) outcome {
	before := b.device()
	o := b.send(ctx, r)
	if before == nil || !o.problem(http.StatusForbidden, "device-not-accepted") {
		return o
	}
	b.registering.Lock()
	if b.device() == before { // else another call has done it meanwhile
		b.claim(ctx)
	}
	b.registering.Unlock()
	if b.device() == before {
		return o
	}
	return b.send(ctx, r)
}

// device is how the server knows this installation; nil: not yet.
func (b *bank) device() *registration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.registered
}

// storeItem keeps something in the app's storage.
func (b *bank) storeItem(key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.system.Store(key, data)
}

// loadItem reads it again, and leaves value as it is where nothing is stored.
func (b *bank) loadItem(key string, value any) error {
	data, err := b.system.Load(key)
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
