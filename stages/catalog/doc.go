// Package catalog holds the stages and the attacks of Keyladder as data.
//
// A [Stage] is one rung of the ladder: what it adds to the one before, its [Policies], one
// for each actor, its narrative, and what every [Attack] must achieve against it. Nothing
// else lists the stages: servers, phone, admin UI, README and tests are driven by this
// package.
//
// Policies are closed. A field that is not set is undecided, and the guard refuses a stage
// with such a field ([Policies.Undecided]), with a value that is declared nowhere
// ([Policies.Unknown]) and with values that contradict each other
// ([Policies.Contradictions]). A check is switched off by name ([AnyUserAgent],
// [NoAppProof], …). A value is declared once (policy.go), with the words for people and with
// whether it switches something off.
package catalog
