package attacker

import (
	"context"
	"errors"
	"strings"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
)

// urlLeak reads an access log, as administrators, log services and finders of backups
// do. URLs are logged everywhere; a credential in a URL is logged with it. Lines about
// other stages stand for logs of other banks and are left alone.
//
//keyladder:code attack-url-leak
func urlLeak(ctx context.Context, g *attack.Given) (attack.Result, error) {
	var leaked loot.Loot
	lines := 0
	for _, line := range g.AccessLog {
		if !strings.Contains(line, "/"+g.Stage.Slug+"/") {
			continue
		}
		lines++
		leaked.Search([]byte(line))
	}
	if lines == 0 {
		return attack.Result{}, errors.New("the access log holds no line about this stage")
	}
	g.Say("Searched %d lines of the access log for keys in URLs: %s.", lines, &leaked)
	if len(leaked.ClientIDs) == 0 {
		return attack.Result{Check: catalog.CheckKeyInURL, Obstacle: "no URL in the access log carries a key"}, nil
	}
	tries, err := g.Identities(leaked.OfApp()...)
	if err != nil {
		return attack.Result{}, err
	}
	return attack.RobAs(ctx, g, tries)
}
