package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// maxPlaces is how many places in an app's memory are tried.
const maxPlaces = 100

// debugged has the app do something. Where numbers in its memory are to be replaced, that is
// done one place after the other, until the app does not refuse any more by a check of its
// own: a number stands at several places, and at most of them it means something else.
func (u *appUse) debugged(ctx context.Context, app *device.App, do func() (device.Screen, error)) (device.Screen, error) {
	screen, err := do()
	if len(u.numbers) == 0 || err != nil || screen.Check != catalog.CheckTransferCap {
		return screen, err
	}
	held, err := debugger.Attach(ctx, app.PID())
	if err != nil {
		return screen, err
	}
	defer held.Detach()
	for text, changed := range u.numbers {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return screen, fmt.Errorf("--debug %s=%d: not a number: %w", text, changed, err)
		}
		places, err := held.Find(ctx, number)
		if err != nil {
			return screen, err
		}
		slices.Reverse(places) // what a program made lies above what it was built with
		for _, place := range places[:min(len(places), maxPlaces)] {
			if err := held.Write(place, number, changed); errors.Is(err, debugger.ErrMoved) {
				continue
			} else if err != nil {
				return screen, err
			}
			if screen, err = do(); err != nil || screen.Check != catalog.CheckTransferCap {
				return screen, err
			}
			if err := held.Write(place, changed, number); err != nil && !errors.Is(err, debugger.ErrMoved) {
				return screen, err
			}
		}
	}
	return screen, nil
}

// dump writes the app's memory to a file, if that is wanted.
func (u *appUse) dump(ctx context.Context, app *device.App) error {
	if u.memory == "" {
		return nil
	}
	file, err := os.OpenFile(u.memory, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the app's memory: %w", err)
	}
	out := bufio.NewWriter(file)
	_, err = debugger.EachWritable(ctx, app.PID(), func(_ uint64, data []byte) { _, _ = out.Write(data) }) // Flush tells of errors
	if err = errors.Join(err, out.Flush(), file.Close()); err != nil {
		return fmt.Errorf("write the app's memory: %w", err)
	}
	return nil
}
