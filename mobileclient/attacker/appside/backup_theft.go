package appside

import (
	"context"
	"errors"
	"maps"
	"slices"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
)

// BackupTheft has a copy of what the app stores on the victim's phone: from a backup, a
// lost laptop, a repair shop. In it is what makes the app remember its user. The rest,
// the app's own secrets, is the same in every copy of the app, so it comes out of the
// memory of the one on the attacker's phone.
//
//keyladder:code attack-backup-theft
func BackupTheft(ctx context.Context, g *attack.Given) (attack.Result, error) {
	stolen := &loot.Loot{}
	for _, name := range slices.Sorted(maps.Keys(g.Storage)) {
		g.Say("In the copy of the victim's storage: %s, %d bytes.", name, len(g.Storage[name]))
		stolen.Search(g.Storage[name])
	}
	g.Say("Found in it: %s.", stolen)
	if len(stolen.Sessions) == 0 && len(stolen.Tokens) == 0 && len(stolen.Refreshing) == 0 {
		return attack.Result{Check: catalog.CheckNotStored, Obstacle: "what the app stores on the victim's phone stands for nobody"}, nil
	}
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	tries, err := g.Identities(slices.Concat(found.OfApp(), stolen.OfUser())...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) == 0 {
		return attack.Result{}, errors.New("the app's own secrets were not found in its memory")
	}
	return attack.RobAs(ctx, g, tries)
}
