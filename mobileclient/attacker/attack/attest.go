package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/protect"
)

// Attest asks the attestation service for a client integrity token, as the release in use, with
// evidence of the program's own making. Calls are made with it from now on. Whether it is good the
// service does not say.
func (p *Program) Attest(ctx context.Context, evidence protect.Evidence) error {
	attester, err := p.Caller.Attester(p.g.Stage.Package.Release, p.g.newIdentifier())
	if err != nil {
		return err
	}
	client := &http.Client{Transport: p.recording("attestsvc"), Timeout: network.Timeout}
	attested, err := attester.Attest(ctx, client, evidence)
	var refused *protect.ServiceError
	switch {
	case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests:
		return &Refusal{Obstacle: refused.Error()}
	case err != nil:
		return fmt.Errorf("be attested: %w", err)
	}
	p.evidence = evidence
	return p.Show(attested.Show)
}

// RobAttested robs with a program that takes the app's place and gets a client integrity token with
// evidence of its own making. What is in the genuine app's memory, and the same in every copy of
// it, goes into the program first: where the app has a secret, signing in takes that.
func (g *Given) RobAttested(ctx context.Context, static protect.Identity, evidence protect.Evidence) (Result, error) {
	p, err := NewProgram(g, static)
	if err != nil {
		return Result{}, err
	}
	defer p.Close()
	err = p.Attest(ctx, evidence)
	if err == nil {
		g.Say("The attestation service gave our program a token. Whether it is a good one it does not say, so try.")
		err = p.Rob(ctx)
	}
	if err != nil {
		return Stopped(err)
	}
	return Result{Claim: true}, g.SpendLoot(ctx, p.Use)
}

// Static hooks the genuine app on a phone of one's own, and returns what that knows and is the same in every
// copy: at least its client ID. The caller closes the phone.
func (g *Given) Static(ctx context.Context) (*Phone, protect.Identity, error) {
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return nil, protect.Identity{}, err
	}
	tries, err := g.Identities(found.OfApp()...)
	if err == nil && len(tries) == 0 {
		err = errors.New("the app's own secret was not found in its memory")
	}
	if err != nil {
		phone.Close()
		return nil, protect.Identity{}, err
	}
	return phone, tries[0], nil
}
