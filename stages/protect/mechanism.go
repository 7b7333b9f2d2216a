package protect

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"

	"keyladder/stages/catalog"
)

// mechanism is what a file knows about.
type mechanism struct {
	// serves are the values of the call policy that it knows how to serve. Those that
	// switch something off need nobody to serve them.
	serves []any

	// prepare gets ready for a caller's stage, with the caller's identity. It returns an
	// empty part where the stage does not ask for the mechanism.
	prepare func(*Caller) (part, error)

	// refusals are the errors with which it refuses answers, by the name of the check that
	// they are recorded under.
	refusals []refusal
}

// part is what a mechanism does with a caller's calls. It leaves nil what it has nothing to
// do with.
type part struct {
	lacks string // by the identity; empty: nothing

	// connection changes how connections are made.
	connection func(*tls.Config)

	// The three of a request, in this order: each is done for all mechanisms before the next.
	seal  func(*Request) error
	say   func(*Request, Call) error                // who is calling
	prove func(*Request, Call) (answerCheck, error) // which app is; over all that is there

	// learn takes from an answer to a request what the next one needs. It believes nothing.
	learn func(*Request, *Answer)

	// open is done to answers, after they were verified.
	open    func(*Answer) error
	accepts []string // further media types of answers that it can read
}

// answerCheck verifies the answer to one request, and notes in it what it found.
type answerCheck func(*Answer) error

// mechanisms are all that there are, in the order in which they have their turn.
var mechanisms = []mechanism{transport, pins, sealedBodies, devices, sessions, accessTokens, appKeys, hawkSignatures, integrityTokens, dpopProofs, signedMessages}

// unserved are the values of a policy that none of the mechanisms serves.
func unserved(policy catalog.Call, mechanisms []mechanism) []string {
	var names []string
	for _, decision := range policy.Decisions() {
		if !decision.Off && !slices.ContainsFunc(mechanisms, func(m mechanism) bool { return slices.ContainsFunc(m.serves, decision.Is) }) {
			names = append(names, fmt.Sprintf("%s %q", decision.Field, decision.Value))
		}
	}
	return names
}

// nothing is the part of a mechanism that the stage does not ask for.
func nothing() (part, error) { return part{}, nil }

// stolenProof puts the proof that the identity found somewhere, if any, into a header, and says
// whether there is one.
func (c *Caller) stolenProof(header http.Header) bool {
	if c.identity.Proof == "" {
		return false
	}
	header.Set(c.policy.AppProofField(), c.identity.Proof)
	return true
}
