package loot

import (
	"regexp"

	"keyladder/stages/protect"
)

// UserAgents finds what the bank's app calls itself.
type UserAgents []string

var appAgent = regexp.MustCompile(`HarbourBank/[0-9]+(?:\.[0-9]+){1,2}`)

func (f *UserAgents) search(data []byte) {
	for _, match := range submatches(data, "HarbourBank/", appAgent) {
		*f = addNew(*f, match)
	}
}

// complete takes one: they are all as good.
func (f *UserAgents) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.UserAgent = range (*f)[:min(len(*f), 1)] {
		complete = append(complete, as)
	}
	return complete
}

func (f *UserAgents) describe() []string { return nil } // no news to anybody
