package traffic

import (
	"slices"
	"strings"

	"keyladder/internal/traffic"
)

// networkParty is who carries the bytes. Messages are seen up to the network and from there
// on, so it stands in the middle.
const networkParty = "network"

// attacks says whether a party is an attacker: "attacker", "attacker's app".
func attacks(party string) bool { return strings.HasPrefix(party, "attacker") }

// party is a lifeline.
type party struct {
	Name     string
	X        int
	Attacker bool
}

// lifelines are the parties that occur: those who ask, attackers, the network, those who
// are asked; among these in the order in which they come.
func lifelines(records []record) []party {
	var askers, attackers, asked []string
	add := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, r := range records { // who is asked by somebody is a server, whomever it asks in turn
		if r.Lane == traffic.Network || r.Kind == traffic.Note {
			continue
		}
		if _, to := ends(r); !attacks(to) && to != networkParty {
			add(&asked, to)
		}
	}
	for _, r := range records {
		for _, name := range []string{r.From, r.To} {
			switch {
			case attacks(name):
				add(&attackers, name)
			case name != networkParty && !slices.Contains(asked, name):
				add(&askers, name)
			}
		}
	}
	var list []party
	for _, name := range slices.Concat(askers, attackers, []string{networkParty}, asked) {
		list = append(list, party{Name: name, X: firstX + len(list)*partyGap, Attacker: attacks(name)})
	}
	return list
}

// ends are who asks and who is asked in the exchange that a record is of.
func ends(r record) (asker, asked string) {
	if r.Kind == traffic.Response {
		return r.To, r.From
	}
	return r.From, r.To
}

// ofAttackers are the exchanges that an attacker's program has begun: what the network and
// the server see of them is the attacker's, too.
func ofAttackers(records []record) map[string]bool {
	exchanges := map[string]bool{}
	for _, r := range records {
		if asker, _ := ends(r); r.Lane == traffic.App && r.Exchange != "" && attacks(asker) {
			exchanges[r.Exchange] = true
		}
	}
	return exchanges
}
