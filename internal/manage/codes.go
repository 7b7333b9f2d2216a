package manage

import (
	"cmp"
	"fmt"
	"strings"

	"keyladder/stages/catalog"
)

// CodeDefences are what the authorization server does against stolen authorization codes at stages
// that bind them to nothing: GET and POST /codes/defences. All are off at first.
type CodeDefences struct {
	LifetimeSeconds int  `json:"lifetime_seconds"` // of codes; 0: as the setting code_lifetime has it
	Newest          bool `json:"newest"`           // a user who asks again makes the code before worthless
	Fingerprint     bool `json:"fingerprint"`      // the app that redeems a code has the address on which its user has signed in
}

// HijackMeasurement is how often a stolen code was good in the hands of its thief, counted with what
// was switched on.
type HijackMeasurement struct {
	Stage         string        `json:"stage"`
	On            CodeDefences  `json:"on"`
	LateBySeconds int           `json:"late_by_seconds"` // for how long the thief waited, while the victim tried again; 0: not at all
	Tries         int           `json:"tries"`
	Robbed        int           `json:"robbed"`  // money went from the victim to the thief
	Blocked       int           `json:"blocked"` // something stopped the thief
	Unclear       int           `json:"unclear"` // something else was broken
	Check         catalog.Check `json:"check"`   // that stopped the last one who was stopped; empty: none did
	Reason        string        `json:"reason"`  // what was broken, the last time; empty: nothing was
}

// String says what is switched on.
func (d CodeDefences) String() string {
	var on []string
	if d.LifetimeSeconds > 0 {
		on = append(on, fmt.Sprintf("codes live %d s", d.LifetimeSeconds))
	}
	if d.Newest {
		on = append(on, "the newest code alone")
	}
	if d.Fingerprint {
		on = append(on, "the same address")
	}
	return cmp.Or(strings.Join(on, ", "), "nothing")
}

// String says what was counted.
func (m HijackMeasurement) String() string {
	return fmt.Sprintf("%s, thief late by %d s: robbed %d of %d, blocked %d, unclear %d", m.On, m.LateBySeconds, m.Robbed, m.Tries, m.Blocked, m.Unclear)
}
