package person

import (
	"context"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// step is something that an app's user does.
type step struct {
	what string
	do   func(context.Context) (device.Screen, error)
}

// Exercise does with an app what its users do: signs in, where the app wants that and this
// person is not signed in yet, looks at the rates and the accounts, and transfers 1.00 with
// the reference. It stops at the first thing that fails.
func (p Person) Exercise(ctx context.Context, d *device.Device, app *device.App, reference string) manage.Run {
	steps := []step{
		{"rates", app.Rates},
		{"accounts", app.Accounts},
		{"transfer", func(ctx context.Context) (device.Screen, error) {
			return app.Transfer(ctx, device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: reference})
		}},
	}
	if home, err := app.Home(ctx); err != nil || p.mustSignIn(home) {
		steps = append([]step{{"sign-in", func(ctx context.Context) (device.Screen, error) {
			return p.SignIn(ctx, d, app)
		}}}, steps...)
	}
	run := manage.Run{Stage: app.Stage()}
	for _, step := range steps {
		screen, err := step.do(ctx)
		call := manage.Call{What: step.what, Status: screen.Status, OK: screen.OK, Error: screen.Error}
		if err != nil {
			call.OK, call.Error = false, err.Error()
		}
		run.Calls = append(run.Calls, call)
		if !call.OK {
			return run
		}
	}
	run.OK = true
	return run
}
