package traffic

import (
	"net/url"
	"regexp"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
)

// appKeys are IDs of apps, sent as they are.
var appKeys = decoder{
	Checks: []catalog.Check{catalog.CheckAppKey, catalog.CheckKeyInURL},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range appKeyField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, credential(f[1], f[2], []attribute{
				{"key", f[3], "the app's ID; it is the same in every call of every copy of the app, so it is no secret"},
			}))
		}
		if line := requestLine.FindStringSubmatch(seen.Head); line != nil {
			if query, err := url.ParseQuery(line[1]); err == nil && query.Get(appkey.Parameter) != "" {
				found = append(found, credential("URL", appkey.Parameter, []attribute{
					{"key", query.Get(appkey.Parameter), "the app's ID, in a place that logs, proxies and histories keep"},
				}))
			}
		}
		return found
	},
}

var (
	appKeyField = regexp.MustCompile(`(?im)^((?:app-)?authorization):[ \t]*(` + appkey.Scheme + `)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)
	requestLine = regexp.MustCompile(`^[A-Z]+ [^ ?]*\?([^ ]*) HTTP/`)
)

// sessionKeys stand for users who have signed in.
var sessionKeys = decoder{
	Checks: []catalog.Check{catalog.CheckSession, catalog.CheckBinding},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range sessionField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, credential(f[1], f[2], []attribute{
				{"key", f[3], "random, and different at every sign-in; it stands for the user"},
			}))
		}
		return found
	},
}

var sessionField = regexp.MustCompile(`(?im)^(authorization):[ \t]*(session)[ \t]+(\S[^\r\n]*?)[ \t]*\r?$`)
