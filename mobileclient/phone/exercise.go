package phone

import (
	"context"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// Credentials are what a user types in to sign in.
type Credentials struct{ User, Password string }

// step is something that an app's user does.
type step struct {
	what string
	do   func(context.Context) (device.Screen, error)
}

// Exercise has the app do what its users do: sign in, where the stage knows users and
// this one is not signed in yet, look at the rates and the accounts, and transfer 1.00
// with the reference. It stops at the first thing that fails.
func Exercise(ctx context.Context, app *device.App, stage catalog.Stage, as Credentials, reference string) manage.Run {
	steps := []step{
		{"rates", app.Rates},
		{"accounts", app.Accounts},
		{"transfer", func(ctx context.Context) (device.Screen, error) {
			return app.Transfer(ctx, device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: reference})
		}},
	}
	if home, err := app.Home(ctx); err != nil || home.Users && home.User != as.User {
		steps = append([]step{{"sign-in", func(ctx context.Context) (device.Screen, error) {
			return app.SignIn(ctx, as.User, as.Password)
		}}}, steps...)
	}
	run := manage.Run{Stage: stage.Slug}
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
