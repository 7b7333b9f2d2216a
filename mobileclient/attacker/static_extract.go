package attacker

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"keyladder/mobileclient/release"
)

func init() { attacks["static-extract"] = staticExtract }

// staticExtract reads the package as everybody can who has the app: the file's bytes
// as `strings` shows them, then the assets that `unzip` gives. What is in an app is
// published, whatever its name.
//
//keyladder:code attack-static-extract
func staticExtract(ctx context.Context, g *Ground) (Result, error) {
	found, err := g.searchPackage()
	if err != nil {
		return Result{}, err
	}
	g.Say("Names that stand in it: %s.", orNone(found.names))
	g.Say("Found in it: %s.", found)
	tries := found.identities()
	if len(tries) == 0 {
		return Result{Check: checkHidden, Obstacle: "nothing in the package looks like a secret"}, nil
	}
	return robAs(ctx, g, tries)
}

// searchPackage looks through the package file without running it.
func (g *Ground) searchPackage() (*loot, error) {
	file, err := os.ReadFile(g.Package)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	found := &loot{}
	g.Say("Read the package, %d bytes, as `strings` does.", len(file))
	found.search(file)
	_, _, assets, err := release.Read(g.Package)
	if err != nil {
		return nil, fmt.Errorf("unzip the package: %w", err)
	}
	names := slices.Sorted(maps.Keys(assets))
	g.Say("Unzipped its assets: %s.", strings.Join(names, ", "))
	for _, name := range names {
		found.search(assets[name])
	}
	return found, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
