package attack

import (
	"context"
	"errors"
	"fmt"

	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// Use makes one call with what an attack has got hold of, and nothing else of its position. It is nil
// where the call was served, and a [*Refusal] where it was not.
type Use func(context.Context) error

// SpendLoot makes further calls with the loot of an attack that has succeeded, if somebody wants to know
// what it is worth. Where there are several uses, each is of another piece of the loot.
func (g *Given) SpendLoot(ctx context.Context, uses ...Use) error {
	if g.Spend == nil {
		return nil
	}
	return g.Spend(ctx, uses)
}

// Refused says whether an error is a [*Refusal].
func Refused(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal)
}

// Use reads the accounts with the program. Where it is refused, it gets what it can get with what it
// has: another client integrity token, where evidence of its own making was accepted, and another
// access token or session, with its refresh token or, where it is the attacker's own, with the
// password.
func (p *Program) Use(ctx context.Context) error {
	err := p.read(ctx)
	if Refused(err) && p.evidence != nil {
		if err = p.Attest(ctx, p.evidence); err == nil {
			err = p.read(ctx)
		}
	}
	if !Refused(err) {
		return err
	}
	if p.Caller.Identity().Refresh != "" {
		if err = p.Renew(ctx); err == nil {
			err = p.read(ctx)
		}
	}
	if !Refused(err) || !p.own {
		return err
	}
	if err := p.Show(func(as *protect.Identity) { as.Session, as.Token, as.Refresh = "", "", "" }); err != nil {
		return err
	}
	if err := p.Enter(ctx); err != nil {
		return err
	}
	return p.read(ctx)
}

func (p *Program) read(ctx context.Context) error {
	_, err := p.Call(ctx, protect.Call{Path: "/v1/accounts"})
	return err
}

// ErrSignedOut means that an app has signed out whoever it was, because the bank does not accept what
// stood for them.
var ErrSignedOut = errors.New("nobody is signed in any more")

// Use looks at the accounts with the app. The error is an [ErrSignedOut], too, where it has signed out
// whoever it was.
func (p *Phone) Use(ctx context.Context) error {
	_, err := Shown(p.App.Accounts(ctx))
	if err == nil || p.g.Stage.Call.UserProof == catalog.NoUser {
		return err
	}
	if home, failed := p.App.Home(ctx); failed == nil && !home.SignedIn {
		return fmt.Errorf("%w: %w", ErrSignedOut, &Refusal{Obstacle: "the app has signed them out: " + err.Error()})
	}
	return err
}
