package exposure

import (
	"slices"

	"keyladder/stages/catalog"
)

// Theft is a way to get hold of something. Most are attacks of the matrix, and have their names.
type Theft struct {
	Name     string
	Position catalog.Position
	Loot     string // what is stolen, and how it is used
}

// HeldCall is a theft that is no attack of the matrix.
const HeldCall = "held-call"

var thefts = []Theft{
	{Name: "wiretap", Loot: "what passes on a network that the victim's phone has joined"},
	{Name: "url-leak", Loot: "lines of the API's access log"},
	{Name: "static-extract", Loot: "the app's secrets, from the package file"},
	{Name: "trusted-proxy", Loot: "calls of the app on one's own phone, from a proxy that this phone trusts"},
	{Name: "memory-hook", Loot: "the app's own secrets, from its memory"},
	{Name: "token-lift", Loot: "live tokens and the app's own secrets, from its memory"},
	{Name: "attestation-replay", Loot: "what the app has told the attestation service, from its memory"},
	{Name: "challenge-oracle", Loot: "the package file and the app's own secrets, to answer the attestation service with"},
	{Name: "replay", Loot: "a complete call, sent again"},
	{Name: HeldCall, Position: catalog.Terminator, Loot: "a complete call that was kept from the API"},
	{Name: "stolen-bearer", Loot: "what stands for the user in a call, without the proof of the app"},
	{Name: "backup-theft", Loot: "what the app has stored, in a program of one's own"},
	{Name: "backup-restore", Loot: "what the app has stored, in the genuine app on one's own phone"},
	{Name: "agent-spy", Loot: "the addresses that the victim's user agent goes through"},
	{Name: "code-hijack", Loot: "the redirect back to the app, in a program of one's own"},
	{Name: "code-relay", Loot: "the redirect back to the app, in the genuine app on one's own phone"},
	{Name: "weak-provider", Loot: "the same from another company's authorization server"},
	{Name: "verifier-spy", Loot: "that redirect and the request before it, in a program of one's own"},
	{Name: "password-grab", Loot: "the user's password"},
}

// Thefts are all, in the order of the table.
func Thefts() []Theft {
	all := slices.Clone(thefts)
	for i, theft := range all {
		if attack, ok := catalog.LookupAttack(theft.Name); ok {
			all[i].Position = attack.Position
		}
	}
	return all
}

// LookupTheft finds one by its name.
func LookupTheft(name string) (Theft, bool) {
	all := Thefts()
	i := slices.IndexFunc(all, func(t Theft) bool { return t.Name == name })
	if i < 0 {
		return Theft{}, false
	}
	return all[i], true
}

// Applies says whether there is something to steal at a stage, and the stage is built.
func (t Theft) Applies(stage catalog.Stage) bool {
	attack, ok := catalog.LookupAttack(t.Name)
	return stage.Built && (!ok || attack.Expected(stage) != catalog.NotApplicable)
}
