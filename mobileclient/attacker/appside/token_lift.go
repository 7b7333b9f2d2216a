package appside

import (
	"context"
	"errors"
	"slices"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
)

// TokenLift takes everything out of the memory of the genuine app while its user, the
// attacker, is signed in: the static secrets, the live session key or access token, and how
// the installation is registered, where it is. With all of that in it, a program of one's own
// is, to the API, that app on that phone with that user.
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
	return attack.RobAs(ctx, g, tries)
}
