package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// bank is the app. Its settings are decoded once and live as long as it does, as in
// most apps: whoever can read its memory can read them there.
type bank struct {
	system   *sdk.System
	settings *release.Settings
	release  int
	plan     *plan
	client   client

	registering sync.Mutex // held while the installation registers

	mu         sync.Mutex
	registered *registration // nil: not yet
	session    *userSession  // nil: nobody is signed in
}

// opening is how long the app waits for the network before it shows itself.
const opening = 5 * time.Second

// Open decides how the app protects its calls, and takes up what it left off. On its first
// start it registers. Where that fails the app opens all the same: the first call tries
// again, and shows what is wrong.
func (b *bank) Open(ctx context.Context, stage string) error {
	p, err := newPlan(b.settings, stage)
	if err != nil {
		return err
	}
	b.plan = p
	if err := errors.Join(b.loadRegistration(), b.loadSession()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opening)
	defer cancel()
	b.register(ctx)
	return nil
}

// Tap does what the user asked for.
func (b *bank) Tap(ctx context.Context, tap sdk.Tap) (sdk.Screen, error) {
	if b.plan == nil {
		return sdk.Screen{}, fmt.Errorf("the app is not open")
	}
	screen, err := b.tap(ctx, tap)
	screen.User = b.user()
	if b.plan.users {
		screen.SignIn = sdk.InApp
	}
	return screen, err
}

func (b *bank) tap(ctx context.Context, tap sdk.Tap) (sdk.Screen, error) {
	account := "/v1/accounts/" + url.PathEscape(tap.Account)
	switch tap.What {
	case sdk.Home:
		return sdk.Screen{OK: true}, nil
	case sdk.SignIn:
		return b.signIn(ctx, tap.User, tap.Password), nil
	case sdk.SignOut:
		return b.signOut(ctx), nil
	case sdk.Rates:
		return b.call(ctx, request{method: http.MethodGet, path: "/v1/rates", public: true}), nil
	case sdk.Accounts:
		return b.call(ctx, request{method: http.MethodGet, path: "/v1/accounts"}), nil
	case sdk.Account:
		return b.call(ctx, request{method: http.MethodGet, path: account}), nil
	case sdk.Transfers:
		return b.call(ctx, request{method: http.MethodGet, path: account + "/transfers"}), nil
	case sdk.Transfer:
		if tap.Payment == nil {
			return sdk.Screen{}, fmt.Errorf("there is no payment to transfer")
		}
		return b.transfer(ctx, *tap.Payment), nil
	case sdk.Freeze:
		return b.call(ctx, request{method: http.MethodPost, path: account + "/freeze", body: map[string]bool{"frozen": tap.Frozen}, settled: true}), nil
	default:
		return sdk.Screen{}, fmt.Errorf("the app has no button %q", tap.What)
	}
}

// currency of all accounts.
const currency = "EUR"

// transfer keeps to a limit that nobody but this program enforces. That is no
// protection: whoever changes the program, or this number in its memory, is not kept
// from anything. It is here to be got around.
func (b *bank) transfer(ctx context.Context, payment sdk.Payment) sdk.Screen {
	if limit := b.settings.TransferCap; payment.Amount > limit {
		return b.refuse("", catalog.CheckTransferCap,
			fmt.Sprintf("%s is above the limit of %s", amount(payment.Amount), amount(limit)),
			fmt.Sprintf("This app transfers at most %s at once. Make it a smaller amount.", amount(limit)))
	}
	return b.call(ctx, request{method: http.MethodPost, path: "/v1/transfers", body: map[string]any{
		"from": payment.From, "to": payment.To, "amount": payment.Amount, "currency": currency, "reference": payment.Reference,
	}})
}

// call makes a call for the user: from an installation that the server knows, and, but
// for what is public, with the session of who is signed in.
func (b *bank) call(ctx context.Context, r request) sdk.Screen {
	if refused := b.register(ctx); refused != nil {
		return *refused
	}
	if b.plan.users && !r.public {
		if r.session = b.sessionKey(); r.session == "" {
			return b.refuse("", catalog.CheckSignedIn, "nobody is signed in", "Sign in first.")
		}
	}
	return b.noticeSignedOut(r, b.sendKnown(ctx, r)).screen
}

// OpenURL takes note of a link. No stage of this release waits for one.
func (b *bank) OpenURL(_ context.Context, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return fmt.Errorf("this link can't be opened: %w", err)
	}
	return b.system.Report(sdk.Record{Kind: traffic.Note, Summary: "opened by a link: " + u.Scheme + "://" + u.Host})
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
