package scene

import (
	"context"
	"net/http"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// settle gives the apps phones, and people sessions, where the stage has them.
func (s *Station) settle(ctx context.Context, p *prober) (users people, err error) {
	if err := p.prove(ctx); err != nil {
		return users, err
	}
	if devices(p.policies) {
		for _, app := range []*caller{p.bank, p.staff} {
			made, err := p.register(ctx, app)
			if err != nil {
				return users, err
			}
			if err := app.show(func(as *protect.Identity) { as.Device = made }); err != nil {
				return users, err
			}
		}
		if users.elsewhere, err = p.register(ctx, p.bank); err != nil {
			return users, err
		}
	}
	return users, s.signAllIn(ctx, p, &users)
}

// signAllIn signs in whom the probes need.
func (s *Station) signAllIn(ctx context.Context, p *prober, who *people) (err error) {
	if !users(p.policies) {
		return nil
	}
	who.password = s.people[victimsName]
	for _, signing := range []struct {
		to     *protect.SignedIn
		by     *caller
		user   string
		needed func(catalog.Policies) bool
		scope  string // empty: all that there is
	}{
		{to: &who.alice, by: p.bank, user: victimsName, needed: users},
		{to: &who.aliceStaff, by: p.staff, user: victimsName, needed: users},
		{to: &who.carol, by: p.bank, user: staffsName, needed: users},
		{to: &who.narrow, by: p.bank, user: victimsName, needed: tokensRights, scope: "transfers:write"},
		{to: &who.revoked, by: p.bank, user: victimsName, needed: revocations},
	} {
		if !signing.needed(p.policies) {
			continue
		}
		if *signing.to, err = p.signIn(ctx, signing.by, signing.user, s.people[signing.user], signing.scope); err != nil {
			return err
		}
	}
	if who.revoked.Empty() {
		return nil
	}
	by, err := p.bank.As(who.revoked.Show)
	if err != nil {
		return err
	}
	signOut, err := by.SignOutCall()
	if err != nil {
		return err
	}
	if _, err = p.made(ctx, p.bank, signOut); err != nil {
		return err
	}
	return p.untilRevoked(ctx, by)
}

// feedTime is how long a revocation may take from the authorization server to the API.
const feedTime = time.Second

// untilRevoked waits until the API has heard that what a caller has was revoked, or should have.
func (p *prober) untilRevoked(ctx context.Context, by *protect.Caller) error {
	for end := time.Now().Add(feedTime); time.Now().Before(end); {
		got, err := p.send(ctx, draft{by: &caller{Caller: by}, Call: protect.Call{Path: "/v1/accounts"}})
		if err != nil || got.status == http.StatusUnauthorized {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
