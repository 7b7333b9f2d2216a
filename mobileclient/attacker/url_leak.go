package attacker

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"keyladder/stages/catalog"
)

// loggedKey is a key in a logged URL. What a careful server writes in its place,
// such as [redacted], is none.
var loggedKey = regexp.MustCompile(`[?&](?i:key)=([A-Za-z0-9._~%-]{3,128})(?:[&\s"]|$)`)

// urlLeak reads an access log, as administrators, log services and finders of backups
// do. URLs are logged everywhere; a credential in a URL is logged with it. Lines about
// other stages stand for logs of other banks and are left alone.
//
//keyladder:code attack-url-leak
func urlLeak(ctx context.Context, g *Ground) (Result, error) {
	var leaked loot
	lines := 0
	for _, line := range g.AccessLog {
		if !strings.Contains(line, "/"+g.Stage.Slug+"/") {
			continue
		}
		lines++
		for _, match := range loggedKey.FindAllStringSubmatch(line, -1) {
			if key, err := url.QueryUnescape(match[1]); err == nil {
				leaked.keys = addNew(leaked.keys, key)
			}
		}
		for _, agent := range appAgent.FindAllString(line, -1) {
			leaked.userAgents = addNew(leaked.userAgents, agent)
		}
	}
	if lines == 0 {
		return Result{}, errors.New("the access log holds no line about this stage")
	}
	g.Say("Searched %d lines of the access log for keys in URLs: %s.", lines, &leaked)
	if len(leaked.keys) == 0 {
		return Result{Check: catalog.CheckKeyInURL, Obstacle: "no URL in the access log carries a key"}, nil
	}
	return robAs(ctx, g, leaked.identities(g.Stage.Call))
}
