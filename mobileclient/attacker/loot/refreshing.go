package loot

import (
	"regexp"

	"keyladder/stages/protect"
)

// Refreshing finds refresh tokens, with which access tokens are renewed.
type Refreshing []string

var keptRefresh = regexp.MustCompile(`"refresh_token": ?"([A-Za-z0-9._~+/-]{20,}=*)"`)

func (f *Refreshing) search(data []byte) {
	for _, match := range submatches(data, `"refresh_token"`, keptRefresh) {
		*f = addNew(*f, match)
	}
}

func (f *Refreshing) complete(as protect.Identity) (complete []protect.Identity) {
	for _, as.Refresh = range *f {
		complete = append(complete, as)
	}
	return complete
}

func (f *Refreshing) describe() []string {
	return counted(len(*f), "a refresh token", "refresh tokens")
}
