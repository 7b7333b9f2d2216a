package loot

import (
	"bytes"
	"encoding/json"
	"regexp"

	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/protect"
)

// Installations finds how an app on a device is registered: in requests, and as the app
// stores it.
type Installations []protect.Installation

var (
	sentGUID       = regexp.MustCompile(`(?i:device-guid): ?([A-Za-z0-9._~-]{8,128})(?:\r?\n|\\r)`)
	sentIdentifier = regexp.MustCompile(`(?i:device-id): ?([A-Za-z0-9._~-]{1,128})(?:\r?\n|\\r)`)
)

func (f *Installations) search(data []byte) {
	const around = 256 // bytes: the two stand close to each other
	for at := range occurrences(data, []byte(deviceid.GUIDField)) {
		window := data[max(0, at-around):min(len(data), at+around)]
		guid, identifier := sentGUID.FindSubmatch(window), sentIdentifier.FindSubmatch(window)
		if guid != nil && identifier != nil {
			*f = addNew(*f, protect.Installation{Identifier: string(identifier[1]), GUID: string(guid[1])})
		}
	}
	for at := range occurrences(data, []byte(`"guid"`)) {
		f.searchStored(data[max(0, at-around):at], data[at:min(len(data), at+around)])
	}
}

// searchStored reads a JSON object of which the bytes before and after a place are known.
func (f *Installations) searchStored(before, after []byte) {
	start, end := bytes.LastIndexByte(before, '{'), bytes.IndexByte(after, '}')
	if start < 0 || end < 0 {
		return
	}
	var stored protect.Installation
	object := append(bytes.Clone(before[start:]), after[:end+1]...)
	if json.Unmarshal(object, &stored) == nil && stored.Identifier != "" && stored.GUID != "" {
		*f = addNew(*f, stored)
	}
}

func (f *Installations) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Device = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *Installations) describe() []string {
	return counted(len(*f), "a registered installation", "registered installations")
}
