package scene

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/protect"
)

func onPages(p catalog.Policies) bool       { return p.Auth.Issuer.Separate() }
func behindGateway(p catalog.Policies) bool { return p.Call.Gateway == catalog.ThroughGateway }
func inURLs(p catalog.Policies) bool        { return onPages(p) && p.Auth.Requests == catalog.RequestsInURL }
func withCodes(p catalog.Policies) bool     { return onPages(p) && p.Auth.Grants.HasCode() }
func renewable(p catalog.Policies) bool     { return onPages(p) && p.Auth.Offers(catalog.CodeAndRefresh) }

func withSecret(p catalog.Policies) bool {
	return withCodes(p) && p.Auth.ClientAuth == catalog.ClientSecret
}

// authProbes are the requests that the authorization server must refuse.
var authProbes = []probe{
	{"an authorization request with a parameter twice", inURLs, catalog.CheckForm, 303, authorization(func(_ *prober, query url.Values) {
		query["scope"] = []string{"rates:read", "rates:read"}
	})},
	{"an authorization request of an unknown client", inURLs, catalog.CheckClient, 400, authorization(func(_ *prober, query url.Values) {
		query.Set("client_id", rand.Text())
	})},
	{"an authorization request for another redirect URI", inURLs, catalog.CheckRedirect, 400, authorization(func(_ *prober, query url.Values) {
		query.Set("redirect_uri", query.Get("redirect_uri")+"/")
	})},
	{"an authorization request of one app for the redirect URI of another", inURLs, catalog.CheckRedirect, 400, authorization(func(p *prober, query url.Values) {
		query.Set("redirect_uri", p.staff.redirectURI)
	})},
	{"an authorization request for another grant", inURLs, catalog.CheckGrant, 303, authorization(func(_ *prober, query url.Values) {
		query.Set("response_type", "id_token")
	})},
	{"an authorization request for what nobody may do", inURLs, catalog.CheckWanted, 303, authorization(func(_ *prober, query url.Values) {
		query.Set("scope", "everything")
	})},
	{"a sign-in on the page with a wrong password", onPages, catalog.CheckSignIn, 200, func(ctx context.Context, p *prober, users people) (reply, error) {
		sent := p.browser(p.bank)
		_, err := p.link(ctx, p.bank, sent, person.Person{Name: victimsName, Password: users.password + "-not"})
		var refused *person.ErrRefused
		if err != nil && !errors.As(err, &refused) {
			return reply{}, err
		}
		return sent.latest, nil
	}},
	{"an app that its user does not allow anything", inURLs, catalog.CheckConsent, 303, denied},
	{"a token request with another client secret", withSecret, catalog.CheckClient, 401, func(ctx context.Context, p *prober, _ people) (reply, error) {
		by, err := p.bank.As(func(as *protect.Identity) { as.Secret = rand.Text() })
		if err != nil {
			return reply{}, err
		}
		return p.exchanged(ctx, &caller{Caller: by, redirectURI: p.bank.redirectURI}, noCode())
	}},
	{"a token request with a code that was used", withCodes, catalog.CheckCode, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		code, err := p.code(ctx, users)
		if err != nil {
			return reply{}, err
		}
		if first, err := p.exchanged(ctx, p.bank, code); err != nil || first.status != http.StatusOK {
			return first, err
		}
		return p.exchanged(ctx, p.bank, code)
	}},
	{"a token request with the code of another client", withCodes, catalog.CheckCode, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		code, err := p.code(ctx, users)
		if err != nil {
			return reply{}, err
		}
		return p.exchanged(ctx, p.staff, code)
	}},
	{"a token request with a refresh token that was used", renewable, catalog.CheckRefresh, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		opened, err := p.signIn(ctx, p.bank, victimsName, users.password, "")
		if err != nil {
			return reply{}, err
		}
		if first, err := p.refreshed(ctx, p.bank, opened.Refresh); err != nil || first.status != http.StatusOK {
			return first, err
		}
		return p.refreshed(ctx, p.bank, opened.Refresh)
	}},
}

// browser sends requests as they are, under a Traffic-Id each, and keeps what the latest was
// answered. One that only came too soon it makes again when the server says, but for one with a proof
// that is good once: there has to be another then.
type browser struct {
	next   http.RoundTripper
	spoil  func(*http.Request) // before it goes; nil: nothing is changed
	latest reply
}

// browser is one that nobody has signed in with.
func (p *prober) browser(by *caller) *browser { return &browser{next: p.client(by.Caller).Transport} }

// patient is a client for what has to come about before something is probed: all others on this machine
// share the address, and can have used up its limit.
func (p *prober) patient(by *protect.Caller) *http.Client {
	return &http.Client{Timeout: probeTime, Transport: &browser{next: p.client(by).Transport}}
}

func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		sent, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	for tries := 0; ; tries++ {
		again := r.Clone(r.Context())
		got := reply{exchange: rand.Text()}
		again.Header.Set(traffic.Header, got.exchange)
		again.Body = io.NopCloser(bytes.NewReader(sent))
		if b.spoil != nil {
			b.spoil(again)
		}
		response, err := b.next.RoundTrip(again)
		if err != nil {
			return nil, err
		}
		got.status, got.header = response.StatusCode, response.Header
		got.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		response.Body.Close()
		if err != nil {
			return nil, err
		}
		b.latest = got
		if got.status == http.StatusTooManyRequests && tries < 3 && again.Header.Get(dpop.Field) == "" {
			if err := wait(r.Context(), got); err != nil {
				return nil, err
			}
			continue
		}
		response.Body = io.NopCloser(bytes.NewReader(got.body))
		return response, nil
	}
}

// authorization makes the app's request for authorization, with something about it changed.
func authorization(change func(*prober, url.Values)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		oauth, err := p.bank.OAuth(p.bank.redirectURI)
		if err != nil {
			return reply{}, err
		}
		address, err := url.Parse(oauth.Draft().URL)
		if err != nil {
			return reply{}, err
		}
		query := address.Query()
		change(p, query)
		address.RawQuery = query.Encode()
		sent := p.browser(p.bank)
		_, _, err = visit(ctx, sent, nil, http.MethodGet, address, nil)
		return sent.latest, err
	}
}

// visit loads a page, or sends a form.
func visit(ctx context.Context, sent *browser, jar http.CookieJar, method string, at *url.URL, form url.Values) (*http.Response, *device.Page, error) {
	request, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	if form != nil {
		request.Header.Set("Content-Type", protect.FormMedia)
		request.Header.Set("Origin", at.Scheme+"://"+at.Host)
	}
	client := &http.Client{
		Transport: sent, Jar: jar, Timeout: probeTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	response.Body.Close()
	return response, device.ReadPage(response.StatusCode, response.Header.Get("Content-Type"), sent.latest.body, at), nil
}

// denied opens the app's page and presses the button of somebody who does not want it.
func denied(ctx context.Context, p *prober, _ people) (reply, error) {
	oauth, err := p.bank.OAuth(p.bank.redirectURI)
	if err != nil {
		return reply{}, err
	}
	at, err := url.Parse(oauth.Draft().URL)
	if err != nil {
		return reply{}, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return reply{}, err
	}
	sent := p.browser(p.bank)
	_, page, err := visit(ctx, sent, jar, http.MethodGet, at, nil)
	if err != nil {
		return reply{}, err
	}
	for _, form := range page.Forms {
		i := slices.IndexFunc(form.Buttons, func(b device.Button) bool { return b.Value == "deny" })
		if i < 0 {
			continue
		}
		fields, err := form.Filled(nil, form.Buttons[i])
		if err != nil {
			return reply{}, err
		}
		if at, err = url.Parse(form.Action); err != nil {
			return reply{}, err
		}
		_, _, err = visit(ctx, sent, jar, http.MethodPost, at, fields)
		return sent.latest, err
	}
	return reply{}, errors.New("the page has no button for somebody who does not want it")
}

// link has a person go through the pages, and returns where they lead.
func (p *prober) link(ctx context.Context, by *caller, sent http.RoundTripper, who person.Person) (protect.Response, error) {
	oauth, err := by.OAuth(by.redirectURI)
	if err != nil {
		return protect.Response{}, err
	}
	asked, err := oauth.Ask(ctx, &http.Client{Transport: sent, Timeout: probeTime})
	if err != nil {
		return protect.Response{}, err
	}
	link, err := who.Authorize(ctx, sent, asked.URL, by.redirectURI)
	if err != nil {
		return protect.Response{}, err
	}
	return oauth.ReadResponse(link, asked)
}

// code is a response with a code for the customers' app, and for the victim.
func (p *prober) code(ctx context.Context, users people) (protect.Response, error) {
	response, err := p.link(ctx, p.bank, p.browser(p.bank), person.Person{Name: victimsName, Password: users.password})
	switch {
	case err != nil:
		return response, err
	case response.Code == "":
		return response, errors.New("the pages lead back without a code")
	}
	return response, p.prove(ctx) // the pages may have taken longer than the app's token is good
}

// noCode is a response with a code that nobody has issued.
func noCode() protect.Response { return protect.Response{Code: rand.Text()} }

// exchanged is what an app is answered that trades a code.
func (p *prober) exchanged(ctx context.Context, by *caller, response protect.Response) (reply, error) {
	return p.traded(by, nil, func(oauth *protect.OAuth, client *http.Client) (protect.SignedIn, error) {
		return oauth.Exchange(ctx, client, response)
	})
}

// refreshed is what an app is answered that trades a refresh token.
func (p *prober) refreshed(ctx context.Context, by *caller, refreshToken string) (reply, error) {
	return p.traded(by, nil, func(oauth *protect.OAuth, client *http.Client) (protect.SignedIn, error) {
		return oauth.Refresh(ctx, client, refreshToken, "")
	})
}

// traded is what an app is answered at the token endpoint. Spoil changes its requests on their way, and may be
// nil.
func (p *prober) traded(by *caller, spoil func(*http.Request), trade func(*protect.OAuth, *http.Client) (protect.SignedIn, error)) (reply, error) {
	oauth, err := by.OAuth(by.redirectURI)
	if err != nil {
		return reply{}, err
	}
	sent := p.browser(by)
	sent.spoil = spoil
	_, err = trade(oauth, &http.Client{Transport: sent, Timeout: probeTime})
	if sent.latest.exchange == "" {
		return reply{}, fmt.Errorf("ask the token endpoint: %w", err)
	}
	return sent.latest, nil
}
