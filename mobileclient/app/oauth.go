package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// pendingSignIn is a request of the app to the authorization server that was not answered yet.
type pendingSignIn struct {
	oauth      *protect.OAuth // at which it was made
	asked      protect.Asked
	until      time.Time
	memoryOnly bool
}

// signInTime is how long a user may take on the page.
const signInTime = 10 * time.Minute

// newOAuth is the app as a client of the authorization server, which leads back to it by the
// URI scheme that its package claims; nil where nobody signs in on a page.
func newOAuth(caller *protect.Caller, manifest release.Manifest) (*protect.OAuth, error) {
	if !caller.Policy().Grant.InAgent() {
		return nil, nil
	}
	if len(manifest.Schemes) == 0 {
		return nil, fmt.Errorf("%w: the package claims no URI scheme", errSettings)
	}
	return caller.OAuth(protect.RedirectURI(manifest.Schemes[0]))
}

// home is the start screen. Where nobody is signed in it says what the last attempt came to.
func (a *harbourApp) home() sdk.Screen {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil && a.signedIn.Empty() {
		return *a.failed
	}
	return sdk.Screen{OK: true}
}

// openSignIn opens the page on which the user signs in. The password goes there, and never
// comes here. An earlier page leads nowhere from now on.
//
//keyladder:code app-open-sign-in
func (a *harbourApp) openSignIn(ctx context.Context, provider string, memoryOnly bool) sdk.Screen {
	choices := a.caller.Policy().Choices()
	switch known := slices.ContainsFunc(choices, func(c catalog.Choice) bool { return c.Name == provider }); {
	case provider == catalog.Bank || len(choices) == 0: // which is meant where none is named
		provider = ""
	case provider != "" && !known:
		return sdk.Screen{Error: "This app knows nobody of that name on whose page you could sign in."}
	}
	a.mu.Lock()
	a.pending, a.failed = nil, nil
	a.mu.Unlock()
	asking := a.oauth
	asked, err := attested(ctx, a, provider, func(oauth *protect.OAuth) (protect.Asked, error) {
		asking = oauth
		return oauth.Ask(ctx, a.tokenClient())
	})
	if err != nil {
		return a.notSignedIn(err)
	}
	a.mu.Lock()
	a.pending = &pendingSignIn{oauth: asking, asked: asked, until: time.Now().Add(signInTime), memoryOnly: memoryOnly}
	a.mu.Unlock()
	if err := a.system.OpenURL(asked.URL); err != nil {
		return sdk.Screen{Error: "The page on which you sign in can't be opened: " + err.Error() + "."}
	}
	return sdk.Screen{OK: true}
}

// OpenURL takes the link with which the authorization server answers. Any app, and any page,
// can send one.
//
//keyladder:code app-redirect
func (a *harbourApp) OpenURL(ctx context.Context, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return errors.New("this link can't be opened") // what is in it may be secret
	}
	a.report(sdk.Record{Kind: traffic.Note, Summary: "opened by a link: " + u.Scheme + "://" + u.Host})
	if a.oauth == nil {
		return nil
	}
	a.answering.Lock()
	defer a.answering.Unlock()
	screen := a.takeResponse(ctx, link)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed = nil; !screen.OK {
		a.failed = &screen
	}
	return nil
}

// takeResponse signs the user in by an authorization response.
func (a *harbourApp) takeResponse(ctx context.Context, link string) sdk.Screen {
	response, request, err := a.answered(link)
	if err != nil {
		return a.notSignedIn(err)
	}
	signedIn := response.SignedIn
	if response.Code != "" {
		signedIn, err = attested(ctx, a, request.oauth.Provider(), func(oauth *protect.OAuth) (protect.SignedIn, error) {
			return oauth.Exchange(ctx, a.tokenClient(), response)
		})
		if err != nil {
			return a.notSignedIn(err)
		}
	}
	before, err := a.keep(signedIn, a.storesUsers() && !request.memoryOnly)
	if err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	if !before.Empty() { // who was signed in before is not any more
		a.endAtBank(ctx, before)
	}
	return a.learnUser(ctx)
}

// answered reads an authorization response, and says which request it answers. That is over
// then, whatever the response says. One that answers no request leaves it alone: anybody could
// end it otherwise.
func (a *harbourApp) answered(link string) (protect.Response, pendingSignIn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending == nil || time.Now().After(a.pending.until) {
		a.pending = nil
		return protect.Response{}, pendingSignIn{}, protect.ErrNotAsked
	}
	request := *a.pending
	response, err := request.oauth.ReadResponse(link, request.asked)
	if !errors.Is(err, protect.ErrNotAsked) {
		a.pending = nil
	}
	return response, request, err
}

// notSignedIn says why a page has led to nothing.
func (a *harbourApp) notSignedIn(err error) sdk.Screen {
	var refused *protect.GrantError
	switch {
	case errors.As(err, &refused) && refused.Code == "access_denied":
		return sdk.Screen{Error: "Nobody is signed in: the app was not allowed to act for you."}
	case errors.As(err, &refused) && refused.Code == "invalid_grant":
		return sdk.Screen{Error: "The bank does not accept what the page led back with. Sign in again."}
	case errors.As(err, &refused):
		return sdk.Screen{Error: grantAdvice(refused)}
	}
	return a.failedTrade(err)
}

// failedTrade is what to show where nobody could be asked for access tokens, or nobody answers this
// app.
func (a *harbourApp) failedTrade(err error) sdk.Screen {
	var unproven *unprovenError
	switch {
	case errors.As(err, &unproven):
		return sdk.Screen{Status: http.StatusUnauthorized, Error: refusedApp(unproven.reference)}
	case errors.As(err, new(*attestationError)):
		return a.notAttested(err)
	}
	if a.caller.Policy().ClientAuth.Attested() {
		return a.failedAt("the mediator", "", err)
	}
	return a.failedAt("the authorization server", "", err)
}

// learnUser asks the bank whose accounts the app may see now: a token is not for the app to
// read, and its issuer does not tell whom it is for. Staff are shown the accounts of others, so
// that their app does not know their name.
//
// A token that was issued to another app, and put into the response to this one, is found out
// by the same call: the API refuses it (RFC 6749, section 10.16).
func (a *harbourApp) learnUser(ctx context.Context) sdk.Screen {
	screen := a.callAsUser(ctx, get("/v1/accounts"))
	var list struct {
		Accounts []struct{ Owner string } `json:"accounts"`
	}
	if a.who().Empty() {
		return screen
	}
	if !screen.OK || json.Unmarshal(screen.Body, &list) != nil || len(list.Accounts) == 0 {
		return sdk.Screen{OK: true} // signed in, as far as the app knows; further calls will show
	}
	owner := list.Accounts[0].Owner
	for _, account := range list.Accounts {
		if account.Owner != owner {
			return sdk.Screen{OK: true}
		}
	}
	a.renewing.Lock() // or what it has begun to renew would be something else in the end
	defer a.renewing.Unlock()
	who := a.who()
	named := who
	if named.User = owner; who.Empty() {
		return sdk.Screen{OK: true} // the user has signed out meanwhile
	}
	if err := a.replace(who, named, a.renewalKey); err != nil && !errors.Is(err, errReplaced) {
		return sdk.Screen{Error: err.Error()}
	}
	return sdk.Screen{OK: true}
}

// tokenClient is the way to whoever issues tokens: the app's, with records of each exchange.
func (a *harbourApp) tokenClient() *http.Client {
	return &http.Client{Transport: tokenRequests{a}, Timeout: callTime}
}

// tokenRequests sends what is asked of these as the app sends its calls.
type tokenRequests struct{ app *harbourApp }

// RoundTrip is that of [http.RoundTripper].
func (t tokenRequests) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		defer req.Body.Close()
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	dressed := &protect.Dressed{
		Request: protect.Request{Method: req.Method, URL: req.URL, Header: req.Header, Body: body}, Content: body, Media: req.Header.Get("Content-Type"),
	}
	again, err := dressed.HTTP(req.Context())
	if err != nil {
		return nil, err
	}
	sent := false
	resp, received, err := t.app.exchange(rand.Text(), again, dressed, &sent)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the client around this says the rest
		}
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(received))
	return resp, nil
}
