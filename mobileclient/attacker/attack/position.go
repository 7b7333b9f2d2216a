package attack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"

	"keyladder/internal/route"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// Given is what an attack is given: what everybody has, and what its position gives.
// The fields of other positions are empty.
type Given struct {
	Stage catalog.Stage // public: how the API of that stage is used
	Plain string        // base URL of the API over HTTP: http://127.0.0.1:8080
	TLS   string        // base URL of the API over TLS
	Auth  string        // base URL of the authorization server
	// Attestation and Mediator are those of the attestation service and of the mediator, where the
	// stage has them.
	Attestation, Mediator string
	Lite                  string       // of the other company's authorization server
	Routes                route.Table  // where these addresses lead
	Roots                 []byte       // the public CA that every device trusts, PEM
	Account               string       // the attacker's own account
	Reference             string       // goes into the transfers that the attack books
	Dir                   string       // scratch folder
	Log                   *traffic.Log // where own programs' calls are recorded; nil: nowhere

	// NewIdentifier makes up an identifier for an installation that there is not; nil: [rand.Text].
	NewIdentifier func() string

	// Spend is handed the loot of an attack that has succeeded, before what the attack has open is closed;
	// nil: nobody wants it. Its error is one of carrying out the attack.
	Spend func(context.Context, []Use) error

	// Say tells people a step. No secret, private key, session or token goes into it; client
	// IDs may.
	Say func(format string, args ...any)

	// User and Password are the attacker's own sign-in: attackers are customers, too.
	// They are empty where the stage knows no users.
	User, Password string

	// ClientID is what the bank's app is registered as. It is there where that alone says which
	// client calls, so that everybody knows it.
	ClientID string

	// RedirectURI is where the bank's app has users come back to: it stands in every address of
	// the page on which they sign in.
	RedirectURI string

	// Authorize goes through the authorization server's pages in a browser of the attacker's, with
	// a name and a password, and returns where they lead. It is there where the stage has such
	// pages. Its error is a [*Refusal] where they lead nowhere.
	Authorize func(ctx context.Context, transport http.RoundTripper, authorizationURL, redirectURI, user, password string) (link string, err error)

	// SignIn types a name and a password in wherever an app on a device of the attacker's
	// asks for them. It is there where the stage knows users.
	SignIn func(ctx context.Context, d *device.Device, app *device.App, user, password string) (device.Screen, error)

	// Package is the path of the app's package, as the store hands it out
	// ([catalog.PackageFile], and positions with a device of one's own).
	Package string

	// NewDevice makes a device of the attacker's own, with nothing installed
	// ([catalog.OwnDevice], [catalog.LookAlike], [catalog.StorageCopy], [catalog.SchemeThief] and
	// [catalog.SpyAndThief]).
	NewDevice func(context.Context) (*device.Device, error)

	Victim    *Victim    // [catalog.OnPath]
	AccessLog []string   // [catalog.AccessLog]: lines of the server's access log
	Inside    *Inside    // [catalog.LogAfterTLS] and [catalog.Terminator]
	LookAlike *LookAlike // [catalog.LookAlike]
	Lured     *Lured     // [catalog.Anyone], where users sign in on pages
	Spied     *Spied     // [catalog.UserAgentSpy] and [catalog.SpyAndThief]
	Thief     *Thief     // [catalog.SchemeThief] and [catalog.SpyAndThief]

	// Storage is a copy of what the genuine app keeps on the victim's device, made while
	// the victim is signed in, by the names under which it was stored
	// ([catalog.StorageCopy]).
	Storage map[string][]byte

	// Later has the victim close the app, start it again and look at their accounts
	// ([catalog.StorageCopy]).
	Later func(context.Context) (device.Screen, error)
}

// Lured is a victim who follows links that others send: attackers are taken to be able to lure
// users to any address (RFC 9700, section 3).
type Lured struct {
	// Follows has the victim follow a link in their phone's user agent, and go on from page to page
	// as when they sign in. Location is what a script on a page of the attacker's web site, which
	// has that origin, sees of its own address: all of it, with the fragment. This user agent runs
	// no scripts, so it is told in place of one. Empty: the victim was not led there.
	Follows func(ctx context.Context, link, origin string) (location string, err error)
}

// Spied is a victim's user agent with a spy in it.
type Spied struct {
	// SignsIn has the victim sign in with the genuine app, and returns the addresses that the user
	// agent went through meanwhile, with their fragments. Where a thief is on the same phone it does
	// not matter whether that works.
	SignsIn func(context.Context) (addresses []string, err error)
}

// Thief is a place for an app of the attacker's on the victim's phone.
type Thief struct {
	// Install has the victim install the package, beside the genuine app.
	Install func(packagePath string) error
	// SignsIn has the victim sign in with the genuine app. Whether that works does not matter.
	SignsIn func(context.Context) error
	// SignsInAt is the same with one of several providers, by its name.
	SignsInAt func(ctx context.Context, provider string) error
	// Later has some time pass, in which the victim tries again; nil: nobody waits.
	Later func(context.Context) error
}

func (g *Given) newIdentifier() string {
	if g.NewIdentifier == nil {
		return rand.Text()
	}
	return g.NewIdentifier()
}

// Victim is somebody with the genuine app, seen from the network.
type Victim struct {
	// Join makes the victim's phone use an access point, host:port; empty: none.
	Join func(accessPoint string)
	// Pay has the victim make a payment with the app.
	Pay func(context.Context) (device.Screen, error)
}

// LookAlike is a place in the store for an app that looks like the bank's.
type LookAlike struct {
	// Used has the victim install the package and sign in with it, as they would with
	// the genuine app. The screens that it shows do not matter.
	Used func(ctx context.Context, packagePath string) error
}

// Inside is a place behind the point where TLS ends.
type Inside struct {
	// Calls are the complete calls that came through so far, oldest first.
	Calls func() []Captured
	// Send sends a call to the API from there.
	Send func(context.Context, Captured) (status int, body []byte, err error)
	// Hold has every later call that it takes kept from the API: the client is told that this does not
	// answer. nil ends that.
	Hold func(func(Captured) bool)
	// Rewrite has every later call changed on its way to the API; nil ends that.
	Rewrite func(func(*Captured))
	// VictimPays has the victim make a payment with the app. The error is an
	// [*Unpaid] where the app shows that it was not made.
	VictimPays func(context.Context) error
}

// SendFromInside sends a call to the API from behind the end of TLS, as it is, and records
// it as the attacker's, under a Traffic-Id of its own: no check reads that.
func (g *Given) SendFromInside(ctx context.Context, call Captured) (status int, body []byte, err error) {
	exchange := rand.Text()
	call.Header = call.Header.Clone()
	call.Header.Set(traffic.Header, exchange)
	summary := call.Method + " " + call.Target
	g.Record(traffic.Message{
		Exchange: exchange, Kind: traffic.Request, From: network.Party, To: "resource",
		Summary: summary, Head: network.Head(summary+" HTTP/1.1", "", call.Header), Body: call.Body, Size: len(call.Body),
	})
	if status, body, err = g.Inside.Send(ctx, call); err != nil {
		return 0, nil, fmt.Errorf("send a call from behind the end of TLS: %w", err)
	}
	g.Record(traffic.Message{
		Exchange: exchange, Kind: traffic.Response, From: "resource", To: network.Party,
		Summary: fmt.Sprintf("%d %s", status, http.StatusText(status)), Body: body, Size: len(body),
	})
	return status, body, nil
}

// Captured is a complete call, as it is after TLS ended.
type Captured struct {
	Method      string
	Target      string // path and query: /app-id/v1/accounts
	Header      http.Header
	Body        []byte
	Certificate []byte // the certificate that the client showed, DER, if any
}

// Unpaid says what the victim's app showed instead of a payment that was made.
type Unpaid struct{ Screen device.Screen }

func (e *Unpaid) Error() string {
	return "the victim's app does not show the payment as made: " + e.Screen.Error
}

// Result is what an attack brings home.
type Result struct {
	Claim    bool          // it believes that it succeeded
	Data     string        // what it read, when data was the goal
	Served   int           // calls that were served, when exceeding the limit was the goal
	Allowed  int           // calls that the limit, as announced, would have let through meanwhile
	Check    catalog.Check // what stopped it, where nobody but the attacker can tell
	Obstacle string        // what stopped it, for people
	Stolen   []string      // what it took from somebody and called with, as it stands in messages
}

// PayTo changes the payee of a payment, and tells whether it did. A payment that can't be
// read is replaced by another one.
func (c *Captured) PayTo(account string) bool {
	if !network.IsPayment(c.Method, c.Target) {
		return false
	}
	body, err := network.WithPayee(c.Body, account)
	if err != nil { // the payee, or all of it, is sealed
		body = ownPayment(account)
		c.Header.Set("Content-Type", protect.JSON)
	}
	c.Body = body
	return true
}

// ownPayment is the body of a payment that somebody makes up who knows an account.
func ownPayment(payee string) []byte {
	body, err := json.Marshal(map[string]any{
		"from": AnAccount.ID, "to": payee, "amount": Pittance, "currency": AnAccount.Currency, "reference": "invoice",
	})
	if err != nil {
		panic(err) // strings and a number
	}
	return body
}
