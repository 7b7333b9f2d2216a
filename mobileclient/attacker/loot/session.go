package loot

import (
	"regexp"

	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

// Sessions finds session keys, which stand for signed-in users.
type Sessions []session.Key

var (
	sentSession   = regexp.MustCompile(`(?i:authorization): ?Session ([A-Za-z0-9_-]{43})(?:\r?\n|\\r)`)
	storedSession = regexp.MustCompile(`"session_key": ?"([A-Za-z0-9_-]{43})"`)
)

func (f *Sessions) search(data []byte) {
	for _, match := range submatches(data, "uthorization: Session ", sentSession) {
		f.add(match)
	}
	for _, match := range submatches(data, `"session_key"`, storedSession) {
		f.add(match)
	}
}

func (f *Sessions) add(text string) {
	if key, err := session.ParseKey(text); err == nil {
		*f = addNew(*f, key)
	}
}

func (f *Sessions) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Session = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *Sessions) describe() []string { return counted(len(*f), "a session key", "session keys") }
