package phone

import (
	"context"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// Exercise has the app do what its users do: look at the rates and the accounts, and
// transfer 1.00 with the reference. It stops at the first thing that fails.
func Exercise(ctx context.Context, app *device.App, stage, reference string) manage.Run {
	run := manage.Run{Stage: stage}
	for _, step := range []struct {
		what string
		do   func(context.Context) (device.Screen, error)
	}{
		{"rates", app.Rates},
		{"accounts", app.Accounts},
		{"transfer", func(ctx context.Context) (device.Screen, error) {
			return app.Transfer(ctx, device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: reference})
		}},
	} {
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
