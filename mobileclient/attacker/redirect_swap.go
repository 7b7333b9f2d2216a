package attacker

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/protect"
)

// redirectSwap asks the authorization server to send the user, with what it gives, to an address
// of the attacker's: whoever follows such a link meets the bank's own page. Servers that compare
// addresses loosely take one of the spellings for the app's (RFC 9700, section 4.1.1).
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
	spellings := swapped(g.RedirectURI)
	for _, uri := range spellings {
		taken, err := p.Accepted(ctx, strings.Replace(oauth.AuthorizationURL(protect.NewState()),
			"redirect_uri="+url.QueryEscape(g.RedirectURI), uri, 1))
		if err != nil {
			return attack.Result{}, err
		}
		if taken {
			return attack.Result{}, fmt.Errorf("the authorization server takes %s for an address of the app's", uri)
		}
	}
	g.Say("Asked with %d other addresses, from an evil host to the right one with another ending: the page says each time that it leads nobody there.", len(spellings))
	return attack.Result{Obstacle: "the authorization server leads nobody to an address that is not registered, byte for byte"}, nil
}

// swapped are parameters that could pass for a redirect URI, as they stand in a query.
func swapped(registered string) []string {
	scheme, rest, _ := strings.Cut(registered, ":")
	one := func(uri string) string { return "redirect_uri=" + url.QueryEscape(uri) }
	return []string{
		one("https://evil.example/callback"),
		one("https://evil.example/" + registered),
		one("https://evil.example/?next=" + registered),
		one("https://localhost@evil.example/callback"),
		one("http://127.0.0.1:4444/callback"),
		one("http://localhost/callback"),
		one(scheme + ".evil:" + rest),
		one("evil." + registered),
		one(strings.ToUpper(registered)),
		one(scheme + ":/" + rest),
		one(scheme + "://evil.example" + rest),
		one(registered + "/"),
		one(registered + "/../evil"),
		one(registered + "?next=https://evil.example"),
		one(registered + "#"),
		one(registered + "%2F"),
		one(registered + "\x00"),
		one(registered + " https://evil.example"),
		one(" " + registered),
		one(scheme + ":callback"),
		one("javascript:alert(1)"),
		one("data:text/html,evil"),
		"redirect_uri=" + url.QueryEscape(registered) + "&redirect_uri=" + url.QueryEscape("https://evil.example/callback"),
		"redirect_uri=" + url.QueryEscape("https://evil.example/callback") + "&redirect_uri=" + url.QueryEscape(registered),
	}
}
