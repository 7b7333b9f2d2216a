package token

import (
	"encoding/json"
	"time"
)

// Examination is a token taken apart for people.
type Examination struct {
	Header, Claims json.RawMessage // as they are written; nil where they can't be read
	Findings       []Finding       // one for each check
}

// Finding is what one check found.
type Finding struct {
	Check string // its name
	Err   error  // nil: it let the token pass
	// Moot says that it could not be made, because of what another found.
	Moot bool
}

// Examine makes all checks of a verifier, and goes on where [Verifier.Verify] would have
// stopped: somebody who wants to understand a bad token wants to see all that is wrong with
// it.
func (v Verifier) Examine(text string, now time.Time) Examination {
	t := reading{kind: Type, text: text, now: now}
	var e Examination
	failed := map[string]bool{}
	for _, check := range checks {
		finding := Finding{Check: check.name}
		for _, needed := range needs[check.name] {
			finding.Moot = finding.Moot || failed[needed]
		}
		if !finding.Moot {
			finding.Err = check.run(v, &t)
		}
		failed[check.name] = finding.Moot || finding.Err != nil
		e.Findings = append(e.Findings, finding)
	}
	if json.Valid(t.header) {
		e.Header = t.header
	}
	if json.Valid(t.body) {
		e.Claims = t.body
	}
	return e
}

// needs are the checks without which another has nothing to look at.
var needs = map[string][]string{
	"header":    {"form"},
	"type":      {"header"},
	"algorithm": {"header"},
	"key":       {"header"},
	"signature": {"key"},
	"claims":    {"form"},
	"issuer":    {"claims"},
	"audience":  {"claims"},
	"issued":    {"claims"},
	"expiry":    {"claims"},
}

// Err is the error with which [Verifier.Verify] refuses the token; nil: it does not.
func (e Examination) Err() error {
	for _, f := range e.Findings {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}
