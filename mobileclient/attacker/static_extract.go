package attacker

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// staticExtract reads the package as everybody can who has the app: the file's bytes
// as `strings` shows them, then the assets that `unzip` gives. What is in an app is
// published, whatever its name.
//
//keyladder:code attack-static-extract
func staticExtract(ctx context.Context, g *Given) (Result, error) {
	found, err := g.searchPackage()
	if err != nil {
		return Result{}, err
	}
	g.Say("Names that stand in it: %s.", orNone(found.Names))
	g.Say("Found in it: %s.", found)
	tries, err := g.identities(found.OfApp()...)
	if err != nil {
		return Result{}, err
	}
	if len(tries) > 0 {
		return robAs(ctx, g, tries)
	}
	return g.guess(ctx, found)
}

// maxGuesses bounds how many texts are tried against the API. Somebody there may count. The
// lines of a certificate and its key look as much like a secret as a secret does, and there
// are some 13 of them.
const maxGuesses = 24

// guess tries what looks like a secret in the package, without a name: the API is the
// only one who can tell. Where it first wants to see a client certificate, it never gets
// to look at a secret without one.
func (g *Given) guess(ctx context.Context, found *loot.Loot) (Result, error) {
	hidden := Result{Check: catalog.CheckHidden, Obstacle: "no secret was found in the package"}
	candidates, err := g.packageTexts()
	if err != nil {
		return Result{}, err
	}
	g.Say("No secret stands in it under a name. %d texts in it look random, and the API alone could tell whether one of them is it.", len(candidates))
	nobody, err := g.caller(protect.Identity{})
	if err != nil {
		return Result{}, err
	}
	if lacks(nobody, protect.ClientCertificate) && len(found.Certificates.Pairs()) == 0 {
		g.Say("It talks only to those who have the app's private key. No private key is in the package, so no text could be tried.")
		hidden.Obstacle += ", nor the private key that it takes to try what might be one"
		return hidden, nil
	}
	found.Secrets.Values = candidates[:min(len(candidates), maxGuesses)]
	g.Say("Trying the %d that look most like one.", len(found.Secrets.Values))
	tries, err := g.identities(found.OfApp()...)
	if err != nil {
		return Result{}, err
	}
	if len(tries) == 0 {
		return hidden, nil
	}
	result, err := robAs(ctx, g, tries)
	if err != nil || result.Claim {
		return result, err
	}
	hidden.Obstacle += fmt.Sprintf(", and %d texts that look like one are not it: %s", len(tries), result.Obstacle)
	return hidden, nil
}

// packageTexts are the texts in the package that look most like secrets, best first.
func (g *Given) packageTexts() ([]string, error) {
	file, err := os.ReadFile(g.Package)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	texts := loot.Texts{}
	texts.Collect(file)
	return texts.LikeSecrets(), nil
}

// searchPackage looks through the package file without running it.
func (g *Given) searchPackage() (*loot.Loot, error) {
	file, err := os.ReadFile(g.Package)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	found := &loot.Loot{}
	g.Say("Read the package, %d bytes, as `strings` does.", len(file))
	found.Search(file)
	for decoded := range loot.Decoded(file) {
		found.Search(decoded)
	}
	_, _, assets, err := release.Read(g.Package)
	if err != nil {
		return nil, fmt.Errorf("unzip the package: %w", err)
	}
	names := slices.Sorted(maps.Keys(assets))
	g.Say("Unzipped its assets: %s.", strings.Join(names, ", "))
	for _, name := range names {
		found.Search(assets[name])
	}
	return found, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
