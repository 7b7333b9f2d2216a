package protect

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/mechanism/token"
)

// Asked is an authorization request that waits for its response.
type Asked struct {
	URL      string // the page on which the user signs in
	State    string // that the response has to carry
	Verifier string // with which its code is redeemed (RFC 7636, section 4.1); empty: codes are bound to none
}

// String is for logs, and says nothing that is secret.
func (a Asked) String() string { return "an authorization request" }

// GoString does the same.
func (a Asked) GoString() string { return a.String() }

// NewState makes up a state: 256 random bits in base64url. Nobody else knows it, so that nobody
// else can make up an answer (RFC 6749, section 10.12).
func NewState() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// ProviderParameter is the parameter by which a client says at whose page its user signs in, where
// the issuer has several.
const ProviderParameter = "provider"

// Provider is a parameter of an authorization request; an empty name leaves it to the user.
func Provider(name string) []oauth2.AuthCodeOption {
	if name == "" {
		return nil
	}
	return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam(ProviderParameter, name)}
}

// Ask asks for authorization: on the page at its URL a user signs in and is asked whether the app may
// act for them (RFC 6749, sections 4.1.1 and 4.2.1). Where requests are pushed, it goes to the issuer
// first, and the URL has a reference to it (RFC 9126). The options change its parameters. The client
// decides how the issuer is reached; its error is a [GrantError] where that does not take the request.
//
//keyladder:code app-authorization-request
func (o *OAuth) Ask(ctx context.Context, client *http.Client, options ...oauth2.AuthCodeOption) (Asked, error) {
	asked := o.Draft(options...)
	if !o.Pushes() {
		return asked, nil
	}
	page, err := url.Parse(asked.URL)
	if err != nil {
		return Asked{}, err
	}
	asked.URL, err = o.Push(ctx, client, page.Query())
	return asked, err
}

// Pushes says whether requests are pushed: to an issuer that apps authenticate at, each time.
func (o *OAuth) Pushes() bool { return o.caller.mediatorIssues() }

// Draft is an authorization request with its parameters in the URL, of which nobody has heard yet.
func (o *OAuth) Draft(options ...oauth2.AuthCodeOption) Asked {
	asked := Asked{State: NewState()}
	var own []oauth2.AuthCodeOption
	if o.caller.policy.Grant == catalog.ImplicitGrant {
		own = append(own, oauth2.SetAuthURLParam("response_type", "token"))
	}
	if method := o.caller.policy.PKCE; method != catalog.NoPKCE {
		asked.Verifier = pkce.NewVerifier()
		own = append(own, oauth2.SetAuthURLParam(pkce.FieldChallenge, pkce.Challenge(string(method), asked.Verifier)), oauth2.SetAuthURLParam(pkce.FieldMethod, string(method)))
	}
	options = append(own, options...)
	asked.URL = o.config.AuthCodeURL(asked.State, options...)
	return asked
}

// pushed is what an issuer answers to a request that is pushed (RFC 9126, section 2.2).
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

const maxPushed = 1 << 16 // bytes

// Push sends the parameters of an authorization request to the issuer, and returns the URL of the
// page with a reference to them, which is good once and for a short time (RFC 9126, sections 2 and 4).
//
//keyladder:code app-pushed-request
func (o *OAuth) Push(ctx context.Context, client *http.Client, parameters url.Values) (page string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.issuer+pushPath, strings.NewReader(parameters.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", FormMedia)
	response, err := o.requests("").over(client).Do(request)
	if err != nil {
		return "", fmt.Errorf("push an authorization request: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPushed))
	if err != nil {
		return "", fmt.Errorf("push an authorization request: %w", err)
	}
	var refused GrantError
	var taken pushed
	switch {
	case response.StatusCode != http.StatusCreated && json.Unmarshal(body, &refused) == nil && refused.Code != "":
		return "", &refused
	case response.StatusCode != http.StatusCreated:
		return "", fmt.Errorf("push an authorization request: the issuer answers with the status %d, and does not say why", response.StatusCode)
	case json.Unmarshal(body, &taken) != nil || taken.RequestURI == "" || taken.ExpiresIn <= 0:
		return "", errors.New("push an authorization request: the issuer's answer has no reference to it")
	}
	return o.config.Endpoint.AuthURL + "?" + url.Values{"client_id": {o.config.ClientID}, "request_uri": {taken.RequestURI}}.Encode(), nil
}

// Response is an authorization response: a code or, at the implicit grant, what stands for
// the user at once.
type Response struct {
	Code     string
	Verifier string // that the code is bound to; empty: there is none
	SignedIn SignedIn
}

// proof is what a code is shown with.
func (r Response) proof() []oauth2.AuthCodeOption {
	if r.Verifier == "" {
		return nil
	}
	return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam(pkce.FieldVerifier, r.Verifier)}
}

// String is for logs, and says nothing that is secret.
func (r Response) String() string { return "an authorization response" }

// GoString does the same.
func (r Response) GoString() string { return r.String() }

// ReadResponse reads the link that the authorization server has led the user agent to (RFC
// 6749, sections 4.1.2 and 4.2.2). It has to carry the state of the request that it answers, and the
// issuer that was asked (RFC 9207, section 2.4). Its error is [ErrResponse], or a [GrantError] where
// the server gives nothing.
//
//keyladder:code app-authorization-response
func (o *OAuth) ReadResponse(link string, asked Asked) (Response, error) {
	target, fragment, _ := strings.Cut(link, "#")
	target, query, _ := strings.Cut(target, "?")
	if o.caller.policy.Grant == catalog.ImplicitGrant {
		query = fragment // which browsers send to no server
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return Response{}, fmt.Errorf("%w: its parameters can't be read", ErrResponse)
	}
	given := parameters["state"]
	if target != o.config.RedirectURL || asked.State == "" || len(given) != 1 || subtle.ConstantTimeCompare([]byte(given[0]), []byte(asked.State)) != 1 {
		return Response{}, ErrNotAsked
	}
	for name, values := range parameters {
		if len(values) > 1 { // RFC 6749, section 3.1
			return Response{}, fmt.Errorf("%w: %.40q is in it more than once", ErrResponse, name)
		}
	}
	named := o.issuer
	if o.unnamed { // it has never announced that it says so
		named = ""
	}
	if iss := parameters.Get("iss"); iss != named {
		return Response{}, fmt.Errorf("%w: it is of the issuer %.200q, and %q was asked", ErrResponse, iss, o.issuer)
	}
	if code := parameters.Get("error"); code != "" {
		return Response{}, &GrantError{Code: code, Description: parameters.Get("error_description")}
	}
	if o.caller.policy.Grant == catalog.ImplicitGrant {
		return readFragment(parameters)
	}
	if parameters.Get("code") == "" {
		return Response{}, fmt.Errorf("%w: there is neither a code nor an error in it", ErrResponse)
	}
	return Response{Code: parameters.Get("code"), Verifier: asked.Verifier}, nil
}

// readFragment reads the access token out of a response.
func readFragment(parameters url.Values) (Response, error) {
	seconds, err := strconv.ParseInt(parameters.Get("expires_in"), 10, 64)
	if err != nil {
		return Response{}, fmt.Errorf("%w: it does not say how long the token is good", ErrResponse)
	}
	signedIn, err := issued{
		AccessToken: parameters.Get("access_token"), TokenType: parameters.Get("token_type"),
		ExpiresIn: seconds, Scope: parameters.Get("scope"),
	}.signedIn(token.Scheme, time.Now())
	if err != nil {
		return Response{}, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return Response{SignedIn: signedIn}, nil
}
