package attacker

import (
	"context"
	"errors"
	"slices"

	"keyladder/stages/catalog"
)

// tokenLift takes everything out of the memory of the genuine app while its user, the
// attacker, is signed in: the static secrets, the live session key or access token, and how
// the installation is registered, where it is. With all of that in it, a program of one's own
// is, to the API, that app on that phone with that user.
//
//keyladder:code attack-token-lift
func tokenLift(ctx context.Context, g *Given) (Result, error) {
	phone, found, err := g.hook(ctx)
	if err != nil {
		return stopped(err)
	}
	defer phone.close()
	tries, err := g.identities(slices.Concat(found.OfApp(), found.OfUser())...)
	if err != nil {
		return Result{}, err
	}
	if len(tries) == 0 || len(found.Sessions)+len(found.Tokens) == 0 {
		return Result{Check: catalog.CheckHidden, Obstacle: "nothing that stands for the user, or no secret, was found in the app's memory"}, nil
	}
	if g.Stage.Call.Devices != catalog.NoDevices && len(found.Installations) == 0 {
		return Result{}, errors.New("the app's requests in its memory name no installation")
	}
	return robAs(ctx, g, tries)
}
