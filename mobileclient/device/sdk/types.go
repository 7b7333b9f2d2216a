package sdk

import (
	"context"
	"encoding/json"
	"errors"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// Names of what a user can tap.
const (
	Home      = "home" // the start screen, for which nobody is asked
	SignIn    = "sign-in"
	SignOut   = "sign-out"
	Rates     = "rates"
	Market    = "market-rates" // of a third party, where calls lead through the gateway
	Accounts  = "accounts"
	Account   = "account"
	Transfers = "transfers"
	Transfer  = "transfer"
	Freeze    = "freeze"
)

// Tap is what a user asks the app to do.
type Tap struct {
	What     string   `json:"what"`
	Account  string   `json:"account,omitempty"`  // of Account, Transfers and Freeze
	Payment  *Payment `json:"payment,omitempty"`  // of Transfer
	Frozen   bool     `json:"frozen,omitempty"`   // of Freeze
	User     string   `json:"user,omitempty"`     // of SignIn, where the app asks for it
	Password string   `json:"password,omitempty"` // of SignIn, where the app asks for it

	// Provider is of SignIn: on whose page the user signs in, where they can choose; empty: the bank's.
	Provider string `json:"provider,omitempty"`

	// MemoryOnly is of SignIn: the user wants to be signed out when the app ends.
	MemoryOnly bool `json:"memory_only,omitempty"`
}

// Payment is what a user types in to make a transfer.
type Payment struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Amount    int64  `json:"amount"` // minor units
	Reference string `json:"reference"`
}

// Screen is what the app shows when it has done what it was asked for.
type Screen struct {
	OK     bool            `json:"ok"`
	Status int             `json:"status"`          // HTTP; 0: there was no response
	Body   json.RawMessage `json:"body,omitempty"`  // as the API sent it, where that was JSON
	Check  catalog.Check   `json:"check,omitempty"` // the check of the app's own that refused, if one did
	Error  string          `json:"error,omitempty"` // for the user

	SignIn SignInWay `json:"sign_in,omitempty"` // how people sign in; empty: nobody does at this stage
	// Providers are those on whose page the user can choose to sign in; none: there is no choice.
	Providers []catalog.Choice `json:"providers,omitempty"`
	User      string           `json:"user,omitempty"` // who is signed in, as far as the app knows

	// SignedIn is whether somebody is, though the app may not know who: it is told nothing
	// that it would not need.
	SignedIn bool `json:"signed_in,omitempty"`
}

// SignInWay is how an app has its user sign in.
type SignInWay string

// The ways to sign in.
const (
	InApp  SignInWay = "app"  // the app asks for name and password itself
	InPage SignInWay = "page" // the app opens a page in the user agent, and is told the end by a URL of its own
)

// Handler is an app, as the device sees it. Calls may come at the same time.
type Handler interface {
	// Open is called first and once: the stage is the one that the phone uses.
	Open(ctx context.Context, stage string) error
	// Tap does what the user asked for.
	Tap(ctx context.Context, tap Tap) (Screen, error)
	// OpenURL hands over a URL with a scheme that the app claimed.
	OpenURL(ctx context.Context, url string) error
}

// Settings are the device's settings as far as they concern apps.
type Settings struct {
	Version int    `json:"version"` // changes when anything else does
	Roots   []byte `json:"roots"`   // trust store, PEM
	Proxy   string `json:"proxy"`   // URL of the HTTP proxy; empty: none

	Unlocked bool `json:"unlocked"` // its owner can change the system that it runs
}

// Record is what an app tells about a message that it sent or got, or a check of its
// own that refused.
type Record struct {
	Kind     traffic.Kind     `json:"kind"`
	Exchange string           `json:"exchange"`
	Summary  string           `json:"summary"`
	With     string           `json:"with,omitempty"` // who sent or got it, at the other end; empty: the API
	Head     string           `json:"head,omitempty"`
	Body     []byte           `json:"body,omitempty"`
	Size     int              `json:"size"`
	Verdict  *traffic.Verdict `json:"verdict,omitempty"`
	Base     string           `json:"base,omitempty"` // the text that was signed, where the message is
}

// ErrNotStored means that the app's storage has nothing under a key.
var ErrNotStored = errors.New("nothing is stored under this key")

// None stands for what a remote call neither takes nor returns.
type None struct{}

// Arguments and answers of the system's calls.
type (
	// Dialing asks for a connection. The app chooses the number, with which the
	// device marks the descriptor that it sends.
	Dialing struct {
		Connection uint64 `json:"connection"`
		Address    string `json:"address"`  // host:port
		Exchange   string `json:"exchange"` // on whose behalf
	}
	// Using says that a connection now carries another exchange.
	Using struct {
		Connection uint64 `json:"connection"`
		Exchange   string `json:"exchange"`
	}
	// Item is something in the app's storage.
	Item struct {
		Key   string `json:"key"`
		Value []byte `json:"value,omitempty"`
		Found bool   `json:"found"`
	}
)
