package protect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/integrity"
)

// Paths below the issuer.
const (
	authorizePath  = "/authorize"
	pushPath       = "/par"
	authTokenPath  = "/token"
	authRevokePath = "/revoke"
)

// IdempotencyKey is the field by which the authorization server recognizes a refresh that is
// asked for again because its answer was lost. It holds a string of RFC 9651
// (draft-ietf-httpapi-idempotency-key-header).
const IdempotencyKey = "Idempotency-Key"

// Errors of signing in on a page.
var (
	// ErrNoPage means that nobody signs in on a page of an authorization server at the stage.
	ErrNoPage = errors.New("nobody signs in on a page at this stage")
	// ErrResponse means that an authorization response can't be relied on.
	ErrResponse = errors.New("the authorization response is not accepted")
	// ErrNotAsked is an ErrResponse: it answers another request, or nobody's.
	ErrNotAsked = fmt.Errorf("%w: it answers no request of this app", ErrResponse)
)

// OAuth is a client of the stage's authorization server. It may be used by several goroutines.
type OAuth struct {
	caller *Caller
	config oauth2.Config
	issuer string

	provider string // that was chosen; empty: the bank's
	unnamed  bool   // its responses do not say whose they are
	lifetime string // the member of its answers in place of expires_in; empty: that
}

// OAuth is the caller as a client of the stage's authorization server, to which that sends
// user agents back under the redirect URI. Its error is [ErrNoPage], or says that nobody knows
// where the server is.
func (c *Caller) OAuth(redirectURI string) (*OAuth, error) {
	if !c.policy.Grant.InAgent() {
		return nil, ErrNoPage
	}
	issuer, err := c.issuer()
	if err != nil {
		return nil, err
	}
	o := &OAuth{caller: c, issuer: issuer, config: oauth2.Config{
		ClientID: c.identity.ClientID, RedirectURL: redirectURI,
		Endpoint: oauth2.Endpoint{
			AuthURL: issuer + authorizePath, TokenURL: issuer + authTokenPath, AuthStyle: oauth2.AuthStyleInParams,
		},
	}}
	switch c.policy.ClientAuth {
	case catalog.ClientSecret:
		o.config.ClientSecret, o.config.Endpoint.AuthStyle = c.identity.Secret, oauth2.AuthStyleInHeader
	case catalog.Mediated:
		mediator, err := c.mediator()
		if err != nil {
			return nil, err
		}
		o.config.Endpoint.TokenURL = mediator + authTokenPath
	}
	return o, o.choose(c)
}

// Issuer is the URL of the server that issues the stage's tokens, as it names itself, where that is one
// of its own.
func (c *Caller) Issuer() (string, error) { return c.issuer() }

// issuer is the stage's: the mediator, where apps show their client integrity tokens to it, and the
// authorization server otherwise.
func (c *Caller) issuer() (string, error) {
	if c.mediatorIssues() {
		return c.mediator()
	}
	return c.server("authorization server", c.api.Auth)
}

// mediatorIssues says whether the mediator issues the stage's tokens itself.
func (c *Caller) mediatorIssues() bool {
	return c.policy.ClientAuth == catalog.ByIntegrity || c.policy.ClientAuth == catalog.ByAttestation
}

// mediator is the stage's.
func (c *Caller) mediator() (string, error) { return c.server("mediator", c.api.Mediator) }

// server is what the addresses of a server's endpoints begin with at the stage.
func (c *Caller) server(what, address string) (string, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "https" || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return "", fmt.Errorf("the address of the %s, %q, is not an https URL without a path", what, address)
	}
	return strings.TrimSuffix(address, "/") + "/" + c.api.Stage, nil
}

// RedirectURI is that of an app with a URI scheme of its own: one slash, as nobody's name
// follows (RFC 8252, section 7.1).
func RedirectURI(scheme string) string { return scheme + ":/callback" }

// Issuer is the URL of the authorization server, as it names itself.
func (o *OAuth) Issuer() string { return o.issuer }

// TokenURL is where tokens are asked for.
func (o *OAuth) TokenURL() string { return o.config.Endpoint.TokenURL }

// Exchange trades the code of a response for what stands for the user (RFC 6749, section 4.1.3; RFC
// 7636, section 4.5). Its error is a
// [GrantError] where the server gives nothing. The client decides how the server is reached,
// and whether it is trusted.
//
//keyladder:code app-code-exchange
func (o *OAuth) Exchange(ctx context.Context, client *http.Client, response Response) (SignedIn, error) {
	asked := time.Now()
	given, err := o.config.Exchange(o.over(ctx, client, ""), response.Code, response.proof()...)
	return o.read(asked, given, err)
}

// Refresh trades a refresh token for an access token and the next refresh token (RFC 6749,
// section 6). A client that asks again because an answer was lost does it with the same key: the
// server takes that for what it is, and gives the same refresh token again. A key is letters and
// digits; an empty one is not sent. Its error is a [GrantError] where the server gives nothing.
//
//keyladder:code app-refresh-request
func (o *OAuth) Refresh(ctx context.Context, client *http.Client, refreshToken, key string) (SignedIn, error) {
	asked := time.Now()
	given, err := o.config.TokenSource(o.over(ctx, client, key), &oauth2.Token{RefreshToken: refreshToken}).Token()
	return o.read(asked, given, err)
}

// over has golang.org/x/oauth2 use a client.
func (o *OAuth) over(ctx context.Context, client *http.Client, key string) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, o.requests(key).over(client))
}

// requests are those that the client makes itself, with what it authenticates by beside them.
func (o *OAuth) requests(key string) *tokenRequests {
	requests := &tokenRequests{agent: o.caller.identity.UserAgent, key: key, provider: o.provider}
	switch policy := o.caller.policy; {
	case policy.ClientAuth == catalog.ByAttestation:
		requests.attestation = o.caller.identity.Attestation
	case policy.ClientAuth.Attested():
		requests.integrity = o.caller.identity.Integrity
	}
	if o.caller.policy.Sender != catalog.AnySender && o.caller.identity.Key != nil {
		requests.prover = o.caller
	}
	return requests
}

// tokenRequests adds to requests for tokens what is the same in all of them.
type tokenRequests struct {
	next http.RoundTripper

	agent, key, integrity, attestation, provider string // empty: not sent

	prover *Caller // proves that it has a key; nil: nobody does
}

// over sends them as a client does. It follows no redirects with what is secret.
func (t *tokenRequests) over(client *http.Client) *http.Client {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.next = cmp.Or(client.Transport, http.DefaultTransport)
	own.Transport = t
	return &own
}

func (t *tokenRequests) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Accept", JSON)
	if t.agent != "" {
		request.Header.Set("User-Agent", t.agent)
	}
	if t.key != "" {
		request.Header.Set(IdempotencyKey, `"`+t.key+`"`)
	}
	if t.integrity != "" {
		integrity.Set(request.Header, t.integrity)
	}
	if t.attestation != "" {
		clientattestation.Set(request.Header, t.attestation)
	}
	if t.provider != "" && request.Body != nil {
		if err := withProvider(request, t.provider); err != nil {
			return nil, err
		}
	}
	response, err := t.send(request)
	if err != nil || response.StatusCode != http.StatusTooManyRequests || request.GetBody == nil {
		return response, err
	}
	// Refused before anybody looked at it, so it is sent once more when the server says.
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	wait := time.Duration(seconds) * time.Second
	if err != nil || wait > patience {
		return response, nil
	}
	select {
	case <-time.After(wait):
	case <-request.Context().Done():
		return response, nil
	}
	response.Body.Close()
	if request.Body, err = request.GetBody(); err != nil {
		return nil, err
	}
	return t.send(request)
}

// send sends a request, with a proof of its own where the client has a key, and once more where that
// was refused for its nonce: nobody has looked at anything else then.
//
//keyladder:code app-token-request-proof
func (t *tokenRequests) send(request *http.Request) (*http.Response, error) {
	if t.prover == nil {
		return t.next.RoundTrip(request)
	}
	for again := false; ; again = true {
		asked := &Request{Method: request.Method, URL: request.URL, Header: request.Header}
		if err := t.prover.proveKey(asked); err != nil {
			return nil, err
		}
		response, err := t.next.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		answer := Answer{Status: response.StatusCode, Header: response.Header}
		t.prover.learnNonce(asked, &answer)
		if !answer.ToldNonce || again || request.GetBody == nil {
			return response, nil
		}
		response.Body.Close()
		if request.Body, err = request.GetBody(); err != nil {
			return nil, err
		}
	}
}

// patience is how long a token request waits for a server that asks for that.
const patience = 10 * time.Second

// read is what a token endpoint has given. Where it is not JSON with an error, nothing of the
// answer goes into ours: it can be a token. The token's life counts from when it was asked for, so that it
// is not taken for good for longer than it is, however slow the answer comes.
func (o *OAuth) read(asked time.Time, given *oauth2.Token, err error) (SignedIn, error) {
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode != "":
		return SignedIn{}, &GrantError{Code: refused.ErrorCode, Description: refused.ErrorDescription}
	case errors.As(err, &refused):
		return SignedIn{}, fmt.Errorf("the token endpoint answers with the status %d, and does not say why", refused.Response.StatusCode)
	case err != nil:
		return SignedIn{}, fmt.Errorf("ask the token endpoint: %w", err)
	}
	answer := issued{AccessToken: given.AccessToken, TokenType: given.TokenType, ExpiresIn: o.life(given)}
	answer.Scope, _ = given.Extra("scope").(string)
	if o.caller.policy.Grant == catalog.CodeAndRefresh {
		answer.RefreshToken = given.RefreshToken
	}
	signedIn, err := answer.signedIn(o.caller.scheme(), asked)
	if err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a token request: %w", err)
	}
	signedIn.Provider = o.provider
	return signedIn, nil
}
