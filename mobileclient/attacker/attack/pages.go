package attack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/protect"
)

// signInOnPages gets what stands for a user from the authorization server: on its pages, in a
// browser of the attacker's, and then at its token endpoint. It takes what the client has to
// take part: where codes are exchanged with a secret, that is the app's.
func (p *Program) signInOnPages(ctx context.Context, user, password string) error {
	oauth, err := p.Caller.OAuth(p.g.RedirectURI)
	if err != nil {
		return err
	}
	client := p.AtIssuer()
	asked, err := oauth.Ask(ctx, client)
	if err != nil {
		return refusedGrant(err)
	}
	link, err := p.g.Authorize(ctx, client.Transport, asked.URL, p.g.RedirectURI, user, password)
	if err != nil {
		return err
	}
	response, err := oauth.ReadResponse(link, asked)
	if err != nil {
		return refusedGrant(err)
	}
	return p.Redeem(ctx, response)
}

// SignInAtBank signs a user in on the page of the bank's authorization server, where that is a provider
// of the mediator: with the request that the mediator makes for each of its users. The answer goes
// to the mediator.
func (p *Program) SignInAtBank(ctx context.Context, user, password string) (protect.Answer, error) {
	mediator, err := p.Caller.Issuer()
	if err != nil {
		return protect.Answer{}, err
	}
	back := mediator + "/callback/bank"
	page := p.g.Auth + "/" + p.g.Stage.Slug + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"harbour-mediator"}, "redirect_uri": {back}, "state": {protect.NewState()},
		pkce.FieldChallenge: {pkce.Challenge(pkce.S256, pkce.NewVerifier())}, pkce.FieldMethod: {pkce.S256},
	}.Encode()
	_, err = p.g.Authorize(ctx, p.recording("auth"), page, back, user, password)
	return protect.Answer{}, err
}

// issuer is what the server is called in records that issues the stage's tokens.
func (p *Program) issuer() string {
	if p.g.Stage.Auth.Issuer == catalog.MediatorIssuer {
		return "mediator"
	}
	return "auth"
}

// AtIssuer is how the program asks the issuer: with its own connections, and on record.
func (p *Program) AtIssuer() *http.Client {
	return &http.Client{Transport: p.recording(p.issuer()), Timeout: network.Timeout}
}

// Redeem trades what a redirect has brought for what stands for the user: a code at the token
// endpoint, with the program's own client secret, if it has one. Calls are made with it from now
// on.
func (p *Program) Redeem(ctx context.Context, response protect.Response) error {
	oauth, err := p.Caller.OAuth(p.g.RedirectURI)
	if err != nil {
		return err
	}
	opened := response.SignedIn
	if response.Code != "" {
		client := p.AtIssuer()
		if opened, err = oauth.Exchange(ctx, client, response); err != nil {
			return refusedGrant(err)
		}
	}
	return p.Show(opened.Show)
}

// Renew trades the refresh token that the program has for an access token and the next refresh
// token.
func (p *Program) Renew(ctx context.Context) error {
	oauth, err := p.Caller.OAuth(p.g.RedirectURI)
	if err != nil {
		return err
	}
	client := p.AtIssuer()
	renewed, err := oauth.Refresh(ctx, client, p.Caller.Identity().Refresh, "")
	if err != nil {
		return refusedGrant(err)
	}
	return p.Show(renewed.Show)
}

// Accepted says whether the authorization server goes on with a request: it shows the page to
// sign in on, or leads somewhere.
func (p *Program) Accepted(ctx context.Context, authorizationURL string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return false, err
	}
	client := &http.Client{Transport: p.recording(p.issuer()), Timeout: network.Timeout, CheckRedirect: p.Client.CheckRedirect}
	response, err := client.Do(request)
	if err != nil {
		return false, fmt.Errorf("ask the authorization server: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, network.MaxBody)); err != nil {
		return false, err
	}
	switch {
	case response.StatusCode < http.StatusBadRequest:
		return true, nil
	case response.StatusCode == http.StatusTooManyRequests:
		return false, errors.New("the authorization server wants to be left alone")
	}
	return false, nil
}

// refusedGrant is a [*Refusal] where the authorization server gives nothing; other errors stay
// errors.
func refusedGrant(err error) error {
	var refused *protect.GrantError
	if errors.As(err, &refused) {
		return &Refusal{Obstacle: "the authorization server gives nothing: " + refused.Code}
	}
	return err
}

// recording makes requests with the program's connections, and records both ways.
func (p *Program) recording(party string) http.RoundTripper { return &recorder{p, party} }

type recorder struct {
	p     *Program
	party string // whom it asks
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	exchange, record := rand.Text(), r.p.g.Record
	request = request.Clone(request.Context())
	request.Header.Set(traffic.Header, exchange)
	var sent []byte
	if request.Body != nil {
		var err error
		if sent, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(strings.NewReader(string(sent)))
	}
	summary := request.Method + " " + request.URL.RequestURI()
	record(traffic.Message{
		Exchange: exchange, Kind: traffic.Request, From: network.Party, To: r.party,
		Summary: summary, Head: network.Head(summary+" HTTP/1.1", "Host: "+request.URL.Host, request.Header), Body: sent, Size: len(sent),
	})
	response, err := r.p.Client.Transport.RoundTrip(request)
	if err != nil {
		record(traffic.Message{Exchange: exchange, Kind: traffic.Note, From: r.party, To: network.Party, Summary: "no response: " + err.Error()})
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, network.MaxBody))
	response.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	response.Body = io.NopCloser(strings.NewReader(string(body)))
	record(traffic.Message{
		Exchange: exchange, Kind: traffic.Response, From: r.party, To: network.Party,
		Summary: response.Status, Head: network.Head("HTTP/1.1 "+response.Status, "", response.Header), Body: body, Size: len(body),
	})
	return response, nil
}
