package appside

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// maxCandidates bounds how many places in the app's memory are tried.
const maxCandidates = 100

// InstrumentedApp runs the genuine, unmodified app under a debugger and changes what
// it does: the cap on transfers is a number in its memory, found by its value as
// cheats for games find the number of lives. File and signature stay as they were, so
// whoever measures the package finds nothing. The debugger stays attached while the
// app, through its own screen, books what it would have refused.
//
//keyladder:code attack-instrumented-app
func InstrumentedApp(ctx context.Context, g *attack.Given) (attack.Result, error) {
	transferCap, err := g.TransferCap()
	if err != nil {
		return attack.Result{}, err
	}
	phone, err := g.Open(ctx, g.Package, nil)
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	if err := phone.SignIn(ctx); err != nil {
		return attack.Stopped(err)
	}
	payment, err := phone.Payment(ctx, transferCap+attack.Pittance)
	if err != nil {
		return attack.Stopped(err)
	}
	switch refused, err := capped(ctx, phone, payment); {
	case err != nil:
		return attack.Stopped(err)
	case !refused:
		return attack.Result{}, errors.New("the app books more than its cap without being changed")
	}
	g.Say("Started the genuine app on our own phone. It refuses to transfer %d minor units: its cap is %d.", payment.Amount, transferCap)

	held, err := debugger.Attach(ctx, phone.App.PID())
	if err != nil {
		return attack.Result{}, err
	}
	defer held.Detach()
	addresses, err := held.Find(ctx, transferCap)
	if err != nil {
		return attack.Result{}, fmt.Errorf("search the app's memory: %w", err)
	}
	g.Say("Attached a debugger to the process and found the number %d at %d places in its memory.", transferCap, len(addresses))
	slices.Reverse(addresses) // what a program made lies above what it was built with
	for i, address := range addresses[:min(len(addresses), maxCandidates)] {
		raised := transferCap * 1000
		if err := held.Write(address, transferCap, raised); errors.Is(err, debugger.ErrMoved) {
			continue
		} else if err != nil {
			return attack.Result{}, fmt.Errorf("change the app's memory: %w", err)
		}
		switch refused, err := capped(ctx, phone, payment); {
		case err != nil:
			return attack.Stopped(err)
		case !refused:
			g.Say("Raised it to %d at the place number %d; the app transfers %d, the debugger still attached.", raised, i+1, payment.Amount)
			return attack.Result{Claim: true}, nil
		}
		// Not the cap, but something that happened to be as large.
		if err := held.Write(address, raised, transferCap); err != nil && !errors.Is(err, debugger.ErrMoved) {
			return attack.Result{}, fmt.Errorf("restore the app's memory: %w", err)
		}
	}
	return attack.Result{Check: catalog.CheckTransferCap, Obstacle: "the number is nowhere in the app's memory where changing it helps"}, nil
}

// capped tells whether the app refuses a payment because of its cap. If it doesn't,
// the payment is made, or the error says what else stopped it.
func capped(ctx context.Context, phone *attack.Phone, payment device.Payment) (bool, error) {
	_, err := attack.Shown(phone.App.Transfer(ctx, payment))
	var refused *attack.Refusal
	if errors.As(err, &refused) && refused.Check == catalog.CheckTransferCap {
		return true, nil
	}
	return false, err
}
