package traffic

import (
	"regexp"

	"keyladder/stages/catalog"
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
