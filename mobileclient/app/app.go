package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// harbourApp is the app. Its settings are decoded once and live as long as it does, as in
// most apps: whoever can read its memory can read them there.
type harbourApp struct {
	system   *sdk.System
	settings *release.Settings
	manifest release.Manifest

	stage      string
	caller     *protect.Caller // of the app alone; nil: it is not open
	oauth      *protect.OAuth  // nil: nobody signs in on a page at the stage
	proof      *proof          // nil: nobody asks the app to be attested at the stage
	connection connection

	registering sync.Mutex // held while the installation registers
	renewing    sync.Mutex // held while an access token is renewed
	answering   sync.Mutex // held while a user is signed in by an authorization response

	mu         sync.Mutex
	registered *protect.Installation // nil: not yet
	signedIn   protect.SignedIn      // empty: nobody is
	renewalKey string                // of a renewal whose answer has not arrived; empty: there is none
	stored     bool                  // what stands for the user is in the storage, too
	pending    *pendingSignIn        // on a page; nil: none
	failed     *sdk.Screen           // what the last sign-in on a page came to; nil: nothing to tell
}

// opening is how long the app waits for the network before it shows itself.
const opening = 5 * time.Second

// Open decides how the app protects its calls, and takes up what it left off. On its first
// start it registers. Where that fails the app opens all the same: the first call tries
// again, and shows what is wrong.
func (a *harbourApp) Open(ctx context.Context, stage string) error {
	caller, err := newCaller(a.settings, a.manifest.Release, stage, a.system.Key)
	if err != nil {
		return err
	}
	if a.oauth, err = newOAuth(caller, a.manifest); err != nil {
		return err
	}
	if a.proof, err = newProof(a, caller); err != nil {
		return err
	}
	a.caller, a.stage = caller, stage
	if a.proof != nil {
		go a.attest(context.WithoutCancel(ctx), protect.Attested{}) // where that fails, the first call tries again
	}
	if err := errors.Join(a.loadRegistration(), a.loadSession()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opening)
	defer cancel()
	a.register(ctx)
	return nil
}

// knowsUsers says whether people sign in at the stage.
func (a *harbourApp) knowsUsers() bool { return a.caller.Policy().UserProof != catalog.NoUser }

// knowsDevices says whether installations register at the stage.
func (a *harbourApp) knowsDevices() bool {
	return a.caller.Policy().Devices == catalog.RegisteredDevices
}

// Tap does what the user asked for.
func (a *harbourApp) Tap(ctx context.Context, tap sdk.Tap) (sdk.Screen, error) {
	if a.caller == nil {
		return sdk.Screen{}, fmt.Errorf("the app is not open")
	}
	screen, err := a.tap(ctx, tap)
	who := a.who()
	screen.User, screen.SignedIn = who.User, !who.Empty()
	switch {
	case a.oauth != nil:
		screen.SignIn, screen.Providers = sdk.InPage, a.caller.Policy().Choices()
	case a.knowsUsers():
		screen.SignIn = sdk.InApp
	}
	return screen, err
}

func (a *harbourApp) tap(ctx context.Context, tap sdk.Tap) (sdk.Screen, error) {
	account := "/v1/accounts/" + url.PathEscape(tap.Account)
	switch tap.What {
	case sdk.Home:
		return a.home(), nil
	case sdk.SignIn:
		if a.oauth != nil {
			return a.openSignIn(ctx, tap.Provider, tap.MemoryOnly), nil
		}
		return a.signIn(ctx, tap.User, tap.Password, tap.MemoryOnly), nil
	case sdk.SignOut:
		return a.signOut(ctx), nil
	case sdk.Rates:
		return a.callAsUser(ctx, call{Call: protect.Call{Path: "/v1/rates", Public: true}}), nil
	case sdk.Market:
		return a.callAsUser(ctx, call{Call: protect.Call{Path: "/v1/market-rates", Public: true}}), nil
	case sdk.Accounts:
		return a.callAsUser(ctx, get("/v1/accounts")), nil
	case sdk.Account:
		return a.callAsUser(ctx, get(account)), nil
	case sdk.Transfers:
		return a.callAsUser(ctx, get(account+"/transfers")), nil
	case sdk.Transfer:
		if tap.Payment == nil {
			return sdk.Screen{}, fmt.Errorf("there is no payment to transfer")
		}
		return a.transfer(ctx, *tap.Payment)
	case sdk.Freeze:
		freeze, err := post(account+"/freeze", map[string]bool{"frozen": tap.Frozen})
		freeze.settled = true
		if err != nil {
			return sdk.Screen{}, err
		}
		return a.callAsUser(ctx, freeze), nil
	default:
		return sdk.Screen{}, fmt.Errorf("the app has no button %q", tap.What)
	}
}

func get(path string) call { return call{Call: protect.Call{Path: path}} }

func post(path string, content any) (call, error) {
	body, err := json.Marshal(content)
	return call{Call: protect.Call{Method: http.MethodPost, Path: path, Body: body}}, err
}

// currency of all accounts.
const currency = "EUR"

// transfer keeps to a limit that nobody but this program enforces. That is no
// protection: whoever changes the program, or this number in its memory, is not kept
// from anything. It is here to be got around.
func (a *harbourApp) transfer(ctx context.Context, payment sdk.Payment) (sdk.Screen, error) {
	if limit := a.settings.TransferCap; payment.Amount > limit {
		return a.refuse("", catalog.CheckTransferCap,
			fmt.Sprintf("%s is above the limit of %s", amount(payment.Amount), amount(limit)),
			fmt.Sprintf("This app transfers at most %s at once. Make it a smaller amount.", amount(limit))), nil
	}
	transfer, err := post("/v1/transfers", map[string]any{
		"from": payment.From, "to": payment.To, "amount": payment.Amount, "currency": currency, "reference": payment.Reference,
	})
	if err != nil {
		return sdk.Screen{}, err
	}
	return a.callAsUser(ctx, transfer), nil
}

// amount writes minor units for people.
func amount(minor int64) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	whole := fmt.Sprint(minor / 100)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s%s.%02d %s", sign, whole, minor%100, currency)
}
