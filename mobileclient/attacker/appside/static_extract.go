package appside

import (
	"context"
	"fmt"
	"strings"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// StaticExtract reads the package as everybody can who has the app: the file's bytes
// as `strings` shows them, then the assets that `unzip` gives. A secret in an app is
// published, whatever its name.
//
//keyladder:code attack-static-extract
func StaticExtract(ctx context.Context, g *attack.Given) (attack.Result, error) {
	found, err := g.SearchPackage()
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("Names that stand in it: %s.", orNone(found.Names))
	g.Say("Found in it: %s.", found)
	tries, err := g.Identities(found.OfApp()...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) > 0 {
		return attack.RobAs(ctx, g, tries)
	}
	return guess(ctx, g, found)
}

// maxGuesses bounds how many texts are tried against the API. Somebody there may count. The
// lines of a certificate and its key look as much like a secret as a secret does, and there
// are some 13 of them.
const maxGuesses = 24

// guess tries what looks like a secret in the package, without a name: the API is the
// only one who can tell. Where it first wants to see a client certificate, it never gets
// to look at a secret without one.
func guess(ctx context.Context, g *attack.Given, found *loot.Loot) (attack.Result, error) {
	hidden := attack.Result{Check: catalog.CheckHidden, Obstacle: "no secret was found in the package"}
	candidates, err := g.PackageTexts()
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("No secret stands in it under a name. %d texts in it look random, and the API alone could tell whether one of them is it.", len(candidates))
	nobody, err := g.Caller(protect.Identity{})
	if err != nil {
		return attack.Result{}, err
	}
	if attack.Lacks(nobody, protect.ClientCertificate) && len(found.Certificates.Pairs()) == 0 {
		g.Say("It talks only to those who have the app's private key. No private key is in the package, so no text could be tried.")
		hidden.Obstacle += ", nor the private key that it takes to try what might be one"
		return hidden, nil
	}
	found.Secrets.Values = candidates[:min(len(candidates), maxGuesses)]
	g.Say("Trying the %d that look most like one.", len(found.Secrets.Values))
	tries, err := g.Identities(found.OfApp()...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) == 0 {
		return hidden, nil
	}
	result, err := attack.RobAs(ctx, g, tries)
	if err != nil || result.Claim {
		return result, err
	}
	hidden.Obstacle += fmt.Sprintf(", and %d texts that look like one are not it: %s", len(tries), result.Obstacle)
	return hidden, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
