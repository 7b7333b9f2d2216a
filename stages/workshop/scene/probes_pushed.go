package scene

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/protect"
)

func pushed(p catalog.Policies) bool       { return p.Auth.Requests == catalog.PushedRequests }
func pushedProven(p catalog.Policies) bool { return pushed(p) && !byAttestation(p) }
func ofOneDevice(p catalog.Policies) bool  { return p.Call.Binding.ToDevice() }
func atMediator(p catalog.Policies) bool   { return p.Call.Providers == catalog.ChosenAtMediator }

// pushedProbes are the requests that an issuer must refuse to which apps push their requests.
var pushedProbes = []probe{
	{"a pushed request without a client integrity token", pushedProven, catalog.CheckIntegrity, 401, pushWith(nothing)},
	{"a pushed request with the client integrity token of a failed attestation", pushedProven, catalog.CheckIntegrity, 401, pushWith(failing)},
	{"a pushed request with a client integrity token that has expired", pushedProven, catalog.CheckIntegrity, 401, pushWith(expired)},
	{"a pushed request with a parameter twice", pushed, catalog.CheckForm, 400, push(func(_ *prober, form url.Values) {
		form["scope"] = []string{"rates:read", "rates:read"}
	})},
	{"a pushed request with a reference to another", pushed, catalog.CheckPushed, 400, push(func(_ *prober, form url.Values) {
		form.Set("request_uri", "urn:ietf:params:oauth:request_uri:another")
	})},
	{"a pushed request of one app in the name of another", pushed, catalog.CheckClient, 400, push(func(p *prober, form url.Values) {
		form.Set("client_id", p.staff.Identity().ClientID)
	})},
	{"a pushed request for another redirect URI", pushed, catalog.CheckRedirect, 400, push(func(_ *prober, form url.Values) {
		form.Set("redirect_uri", form.Get("redirect_uri")+"/")
	})},
	{"a pushed request for another grant", pushed, catalog.CheckGrant, 400, push(func(_ *prober, form url.Values) {
		form.Set("response_type", "id_token")
	})},
	{"a pushed request for what nobody may do", pushed, catalog.CheckWanted, 400, push(func(_ *prober, form url.Values) {
		form.Set("scope", "everything")
	})},
	{"a pushed request without a challenge", pushed, catalog.CheckPKCE, 400, push(func(_ *prober, form url.Values) {
		form.Del(pkce.FieldChallenge)
	})},
	{"a pushed request whose challenge is the verifier", pushed, catalog.CheckPKCE, 400, push(func(_ *prober, form url.Values) {
		form.Set(pkce.FieldMethod, pkce.Plain)
	})},
	{"an authorization request that nobody has pushed", pushed, catalog.CheckPushed, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		oauth, err := p.bank.OAuth(p.bank.redirectURI)
		if err != nil {
			return reply{}, err
		}
		return p.loaded(ctx, oauth.Draft().URL)
	}},
	{"an authorization request with a reference that was used", pushed, catalog.CheckPushed, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		asked, _, err := p.asked(ctx, p.bank)
		if err != nil {
			return reply{}, err
		}
		if first, err := p.loaded(ctx, asked.URL); err != nil || first.status >= http.StatusBadRequest {
			return first, err
		}
		return p.loaded(ctx, asked.URL)
	}},
	{"an authorization request with the reference of another app", pushed, catalog.CheckPushed, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		asked, _, err := p.asked(ctx, p.bank)
		if err != nil {
			return reply{}, err
		}
		return p.loaded(ctx, strings.Replace(asked.URL, "client_id="+p.bank.Identity().ClientID, "client_id="+p.staff.Identity().ClientID, 1))
	}},
	{"an authorization request with a reference that has expired", pushed, catalog.CheckPushed, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		asked, life, err := p.asked(ctx, p.bank)
		switch {
		case err != nil:
			return reply{}, err
		case life > longestWait:
			return reply{}, errNoProbe
		}
		if err := pause(ctx, life+time.Second); err != nil {
			return reply{}, err
		}
		return p.loaded(ctx, asked.URL)
	}},
	{"a provider's answer that nobody waits for", atMediator, catalog.CheckProvider, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		issuer, err := p.bank.Issuer()
		if err != nil {
			return reply{}, err
		}
		return p.loaded(ctx, issuer+"/callback/"+person.HomeProvider+"?"+url.Values{"code": {protect.NewState()}, "state": {protect.NewState()}}.Encode())
	}},
	{"a provider's answer to the sign-in of another user agent", atMediator, catalog.CheckProvider, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		answer, err := p.answered(ctx)
		if err != nil {
			return reply{}, err
		}
		return p.loaded(ctx, answer.at.String())
	}},
	{"a provider's answer to the sign-in at another", atMediator, catalog.CheckProvider, 303, func(ctx context.Context, p *prober, _ people) (reply, error) {
		answer, err := p.answered(ctx)
		if err != nil {
			return reply{}, err
		}
		answer.at.Path = strings.TrimSuffix(answer.at.Path, person.HomeProvider) + "lite"
		return answer.handedOver(ctx)
	}},
	{"a provider's answer that comes twice", atMediator, catalog.CheckProvider, 400, func(ctx context.Context, p *prober, _ people) (reply, error) {
		answer, err := p.answered(ctx)
		if err != nil {
			return reply{}, err
		}
		if first, err := answer.handedOver(ctx); err != nil || first.status >= http.StatusBadRequest {
			return first, err
		}
		return answer.handedOver(ctx)
	}},
	{"a token request with a code, on another device", ofOneDevice, catalog.CheckFamilyDevice, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		response, err := p.code(ctx, users)
		if err != nil {
			return reply{}, err
		}
		return p.elsewhere(ctx, func(by *caller) (reply, error) { return p.exchanged(ctx, by, response) })
	}},
	{"a token request with a refresh token, on another device", ofOneDevice, catalog.CheckFamilyDevice, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.elsewhere(ctx, func(by *caller) (reply, error) { return p.refreshed(ctx, by, users.alice.Refresh) })
	}},
}

// gatewayProbes are calls that the gateway, or the API behind it, must refuse.
var gatewayProbes = []probe{
	{"accounts with the access token of another device", ofOneDevice, catalog.CheckBinding, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.elsewhere(ctx, func(by *caller) (reply, error) {
			return p.send(ctx, draft{by: by, Call: protect.Call{Path: "/v1/accounts"}, as: users.alice.Show})
		})
	}},
	{"accounts past the gateway", behindGateway, catalog.CheckGateway, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		past, err := url.Parse(p.direct + "/v1/accounts")
		if err != nil {
			return reply{}, err
		}
		return p.send(ctx, draft{by: p.bank, Call: protect.Call{URL: past}, as: users.alice.Show})
	}},
}

// asked pushes the app's request, and says for how long the reference to it is good.
func (p *prober) asked(ctx context.Context, by *caller, options ...oauth2.AuthCodeOption) (protect.Asked, time.Duration, error) {
	oauth, err := by.OAuth(by.redirectURI)
	if err != nil {
		return protect.Asked{}, 0, err
	}
	sent := p.browser(by)
	asked, err := oauth.Ask(ctx, &http.Client{Transport: sent, Timeout: probeTime}, options...)
	return asked, time.Duration(sent.latest.number("expires_in")) * time.Second, err
}

// loaded is what a user agent is answered in which nothing has happened before.
func (p *prober) loaded(ctx context.Context, address string) (reply, error) {
	at, err := url.Parse(address)
	if err != nil {
		return reply{}, err
	}
	sent := p.browser(p.bank)
	_, _, err = visit(ctx, sent, nil, http.MethodGet, at, nil)
	return sent.latest, err
}

// push pushes the app's request, with something about it changed.
func push(change func(*prober, url.Values)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		return p.pushed(ctx, p.bank, func(form url.Values) { change(p, form) })
	}
}

// pushWith pushes the app's request with what an attestation has brought.
func pushWith(shows brings) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		by, err := shows.shown(ctx, p)
		if err != nil {
			return reply{}, err
		}
		return p.pushed(ctx, by, func(url.Values) {})
	}
}

func (p *prober) pushed(ctx context.Context, by *caller, change func(url.Values)) (reply, error) {
	oauth, err := by.OAuth(by.redirectURI)
	if err != nil {
		return reply{}, err
	}
	page, err := url.Parse(oauth.Draft().URL)
	if err != nil {
		return reply{}, err
	}
	form := page.Query()
	change(form)
	sent := p.browser(by)
	if _, err := oauth.Push(ctx, &http.Client{Transport: sent, Timeout: probeTime}, form); sent.latest.exchange == "" {
		return reply{}, err
	}
	return sent.latest, nil
}

// providersAnswer is an answer of a provider that waits to be handed to the mediator.
type providersAnswer struct {
	at   *url.URL
	sent *browser // the user agent, with its cookies
	jar  http.CookieJar
}

// handedOver is what the mediator says to it, in the user agent that has signed in.
func (a providersAnswer) handedOver(ctx context.Context) (reply, error) {
	_, _, err := visit(ctx, a.sent, a.jar, http.MethodGet, a.at, nil)
	return a.sent.latest, err
}

// answered signs in up to a provider's answer: the user does not allow anything, which takes no password.
func (p *prober) answered(ctx context.Context) (providersAnswer, error) {
	answer := providersAnswer{sent: p.browser(p.bank)}
	asked, _, err := p.asked(ctx, p.bank)
	if err != nil {
		return answer, err
	}
	if answer.jar, err = cookiejar.New(nil); err != nil {
		return answer, err
	}
	issuer, err := p.bank.Issuer()
	if err != nil {
		return answer, err
	}
	method, address, fields := http.MethodGet, asked.URL, url.Values(nil)
	for range 10 {
		at, err := url.Parse(address)
		if err != nil {
			return answer, err
		}
		if strings.HasPrefix(address, issuer+"/callback/") {
			answer.at = at
			return answer, nil
		}
		response, page, err := visit(ctx, answer.sent, answer.jar, method, at, fields)
		if err != nil {
			return answer, err
		}
		if to := response.Header.Get("Location"); to != "" {
			next, err := at.Parse(to)
			if err != nil {
				return answer, err
			}
			method, address, fields = http.MethodGet, next.String(), nil
			continue
		}
		form, button := declined(page)
		if form == nil {
			return answer, errors.New("the page does not lead on: " + page.Text)
		}
		if fields, err = form.Filled(nil, button); err != nil {
			return answer, err
		}
		method, address = form.Method, form.Action
	}
	return answer, errors.New("the pages lead nowhere")
}

// declined is what somebody presses who wants to sign in at the bank, and then does not want to.
func declined(page *device.Page) (*device.Form, device.Button) {
	for i := range page.Forms {
		for _, button := range page.Forms[i].Buttons {
			if button.Value == "deny" || button.Name == protect.ProviderParameter && button.Value == person.HomeProvider {
				return &page.Forms[i], button
			}
		}
	}
	return nil, device.Button{}
}

// elsewhere does something as the bank's app on another phone, which is attested there.
func (p *prober) elsewhere(ctx context.Context, do func(*caller) (reply, error)) (reply, error) {
	there := &caller{Caller: p.bank.Caller, redirectURI: p.bank.redirectURI}
	if err := p.equip(there, p.pkg); err != nil {
		return reply{}, err
	}
	if err := p.proveAll(ctx, there); err != nil {
		return reply{}, err
	}
	return do(there)
}
