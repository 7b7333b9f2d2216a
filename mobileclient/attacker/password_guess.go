package attacker

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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
func passwordGuess(ctx context.Context, g *Given) (Result, error) {
	p, err := newProgram(g, protect.Identity{ClientID: g.ClientID})
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	p.hasty = true // an attack that has to wait has been stopped
	for i, password := range commonPasswords {
		got, err := p.signIn(ctx, aCustomer, password)
		var refused *refusal
		switch {
		case err == nil:
			g.Say("Password number %d of the list is right.", i+1)
			if err := p.rob(ctx); err != nil {
				return stopped(err)
			}
			return Result{Claim: true}, nil
		case got.Status == http.StatusTooManyRequests:
			return Result{Obstacle: fmt.Sprintf("the API wants to be left alone after %d passwords", i+1)}, nil
		case !errors.As(err, &refused):
			return Result{}, err
		case i == 0, i == len(commonPasswords)-1:
			g.Say("Tried password number %d of the list: %s.", i+1, refused.obstacle)
		}
		if i == len(commonPasswords)-1 {
			return stopped(err)
		}
	}
	return Result{}, errors.New("there are no passwords to try")
}
