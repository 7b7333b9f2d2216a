package lab_test

import (
	"strings"
	"testing"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// What nothing on the ladder stops: whoever carries a call can drop it, encrypted, signed or
// neither. Where the request was dropped nothing is booked, where the answer was, the payment
// is. The app can't tell, and says so.
func TestDroppedCalls(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Settings: testbank.ManyCalls()})
	for _, stage := range []string{"app-id", "tls", "hmac"} {
		for _, test := range []struct {
			name   string
			drops  network.Drops
			booked int
		}{{"request", network.DropRequests, 0}, {"answer", network.DropAnswers, 1}} {
			t.Run(stage+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				router, err := network.NewDropper(t.Context(), network.Uplink{Record: func(traffic.Message) {}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(router.Close)
				phone := newDevice(t, l, 1)
				if err := phone.SetNetwork(device.Network{AccessPoint: router.Address()}); err != nil {
					t.Fatal(err)
				}
				app := launch(t, phone, stage)
				served(t, "while everything is carried", func() (device.Screen, error) { return app.Accounts(t.Context()) })

				router.Drop(test.drops)
				reference := "dropped at " + stage + ": " + test.name
				screen, err := app.Transfer(t.Context(), device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: reference})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("the app says: %s", screen.Error)
				if screen.OK || !strings.Contains(screen.Error, "It may have been booked all the same: look at the account's transfers") {
					t.Errorf("the app shows %v, %q", screen.OK, screen.Error)
				}
				if router.Dropped() == 0 {
					t.Error("nothing was dropped")
				}
				booked, err := l.Resource.Transfers(t.Context(), reference)
				if err != nil || len(booked) != test.booked {
					t.Errorf("booked %d times, want %d: %v", len(booked), test.booked, err)
				}

				router.Drop(network.DropNothing)
				served(t, "afterwards", func() (device.Screen, error) { return app.Accounts(t.Context()) })
			})
		}
	}
}
