package scene

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/protect"
)

// bound says whether codes are bound to a verifier, and hashed whether its hash alone is taken.
func bound(p catalog.Policies) bool  { return withCodes(p) && p.Auth.PKCE != catalog.NoPKCE }
func hashed(p catalog.Policies) bool { return withCodes(p) && p.Auth.PKCE == catalog.S256PKCE }

func boundInURLs(p catalog.Policies) bool  { return bound(p) && inURLs(p) }
func hashedInURLs(p catalog.Policies) bool { return hashed(p) && inURLs(p) }

// pkceProbes are requests with a challenge or a verifier that is wrong. A code that was asked for
// without a challenge is none of them, since there is none.
var pkceProbes = []probe{
	{"an authorization request without a code challenge", boundInURLs, catalog.CheckPKCE, 303, authorization(func(_ *prober, query url.Values) {
		query.Del(pkce.FieldChallenge)
		query.Del(pkce.FieldMethod)
	})},
	{"an authorization request with an empty code challenge", boundInURLs, catalog.CheckPKCE, 303, authorization(func(_ *prober, query url.Values) {
		query.Set(pkce.FieldChallenge, "")
	})},
	{"an authorization request whose code challenge is too short", boundInURLs, catalog.CheckPKCE, 303, authorization(func(_ *prober, query url.Values) {
		query.Set(pkce.FieldChallenge, query.Get(pkce.FieldChallenge)[1:])
	})},
	{"an authorization request whose code challenge was made by an unknown method", boundInURLs, catalog.CheckPKCE, 303, authorization(func(_ *prober, query url.Values) {
		query.Set(pkce.FieldMethod, "S512")
	})},
	{"an authorization request whose code challenge is the verifier", hashedInURLs, catalog.CheckPKCE, 303, authorization(func(_ *prober, query url.Values) {
		query.Set(pkce.FieldChallenge, pkce.NewVerifier())
		query.Set(pkce.FieldMethod, pkce.Plain)
	})},
	{"an authorization request that does not say how its code challenge was made", hashedInURLs, catalog.CheckPKCE, 303, authorization(func(_ *prober, query url.Values) {
		query.Del(pkce.FieldMethod)
	})},
	{"a token request without a code verifier", bound, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Del(pkce.FieldVerifier)
	})},
	{"a token request with an empty code verifier", bound, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Set(pkce.FieldVerifier, "")
	})},
	{"a token request with another code verifier", bound, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Set(pkce.FieldVerifier, pkce.NewVerifier())
	})},
	{"a token request with the code challenge in the place of the code verifier", hashed, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Set(pkce.FieldVerifier, pkce.Challenge(pkce.S256, form.Get(pkce.FieldVerifier)))
	})},
	{"a token request with a code verifier that is too short", bound, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Set(pkce.FieldVerifier, form.Get(pkce.FieldVerifier)[:pkce.MinLength-1])
	})},
	{"a token request with a code verifier that is too long", bound, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Set(pkce.FieldVerifier, strings.Repeat("a", pkce.MaxLength+1))
	})},
	{"a token request with a code verifier that is malformed", bound, catalog.CheckPKCE, 400, redemption(func(form url.Values) {
		form.Set(pkce.FieldVerifier, form.Get(pkce.FieldVerifier)+"+")
	})},
}

// codeKept is for how long a code can be shown again that was refused: that uses up none.
const codeKept = 20 * time.Second

// redemption has the customers' app trade a code that is good, with something about the form changed.
func redemption(change func(url.Values)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, users people) (reply, error) {
		if time.Since(p.unused.since) > codeKept {
			since := time.Now()
			response, err := p.code(ctx, users)
			if err != nil {
				return reply{}, err
			}
			p.unused.response, p.unused.since = response, since
		}
		return p.traded(p.bank, nil, func(oauth *protect.OAuth, client *http.Client) (protect.SignedIn, error) {
			client.Transport = changedForm{client.Transport, change}
			return oauth.Exchange(ctx, client, p.unused.response)
		})
	}
}

// changedForm changes the forms that are sent.
type changedForm struct {
	next   http.RoundTripper
	change func(url.Values)
}

func (c changedForm) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	c.change(form)
	body = []byte(form.Encode())
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return c.next.RoundTrip(r)
}
