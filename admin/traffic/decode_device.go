package traffic

import (
	"regexp"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/deviceid"
)

// deviceFields say which installation of the app calls.
var deviceFields = decoder{
	Checks: []catalog.Check{catalog.CheckDevice},
	Decode: func(seen text) []section {
		var attributes []attribute
		for _, f := range deviceField.FindAllStringSubmatch(seen.Head, maxAttributes) {
			words := "what the phone calls this installation of the app"
			if f[1] == deviceid.GUIDField {
				words = "random; the server gave it to the installation when it registered"
			}
			attributes = append(attributes, attribute{f[1], f[2], words})
		}
		if len(attributes) == 0 {
			return nil
		}
		return []section{{Kind: "credential", Scheme: "device", Title: "The installation", Parts: []part{{Attributes: attributes}}}}
	},
}

var deviceField = regexp.MustCompile(`(?m)^(` + deviceid.Field + `|` + deviceid.GUIDField + `):[ \t]*(\S[^\r\n]*?)[ \t]*\r?$`)
