package appside

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
)

// RefreshReuse has a copy of the victim's storage that is a little old: the app has traded the
// refresh token in it for the next one meanwhile. The one who uses it now gives away that two have
// it, so the server ends the whole family: nobody can tell which of the two is the thief (RFC
// 9700, section 4.14.2).
//
//keyladder:code attack-refresh-reuse
func RefreshReuse(ctx context.Context, g *attack.Given) (attack.Result, error) {
	stolen := &loot.Loot{}
	for _, name := range slices.Sorted(maps.Keys(g.Storage)) {
		stolen.Search(g.Storage[name])
	}
	if len(stolen.Refreshing) == 0 {
		return attack.Result{}, errors.New("there is no refresh token in the copy of the storage")
	}
	g.Say("In the copy of the victim's storage: %s.", stolen)
	if _, err := attack.Shown(g.Later(ctx)); err != nil {
		return attack.Result{}, fmt.Errorf("the victim's app does not go on with its refresh token: %w", err)
	}
	g.Say("The victim has started the app again since, and it has traded that token for the next.")
	use := useAgain
	if g.Stage.Call.Binding == catalog.TokenOfKey { // nobody looks at the token unless an attested app shows it
		use = func(ctx context.Context, g *attack.Given, _ *loot.Loot) (attack.Result, error) {
			return BackupRestore(ctx, g)
		}
	}
	result, err := use(ctx, g, stolen)
	if err != nil || result.Claim {
		return result, err
	}
	screen, err := g.Later(ctx)
	switch {
	case err != nil:
		return attack.Result{}, fmt.Errorf("look how the victim's app fares: %w", err)
	case screen.OK || screen.SignedIn:
		return attack.Result{}, errors.New("the old refresh token was refused, but the family that it is of lives on")
	}
	g.Say("The victim's app is signed out as well: the whole family has ended.")
	return result, nil
}

// useAgain robs with a refresh token, and with what the genuine app on the attacker's own phone shows of
// itself, in a program of the attacker's own.
func useAgain(ctx context.Context, g *attack.Given, stolen *loot.Loot) (attack.Result, error) {
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	finders := append(found.OfApp(), &stolen.Refreshing)
	if g.Stage.Call.ClientAuth.Attested() { // which looks at nothing before that
		finders = append(finders, &found.Integrity)
	}
	tries, err := g.Identities(finders...)
	if err != nil {
		return attack.Result{}, err
	}
	return attack.RobAs(ctx, g, tries)
}
