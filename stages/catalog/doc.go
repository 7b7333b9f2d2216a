// Package catalog holds the stages and the attacks of Keyladder as data.
//
// A [Stage] is one rung of the ladder: what it adds to the one before, the
// [Policy] that the guard and the app follow, the release of the app in use,
// its narrative, and what every [Attack] must achieve against it. Nothing else
// lists the stages: servers, phone, admin UI, README and tests are driven by
// this package.
//
// A policy is closed: a field that is not set is "missing", and a stage with a
// missing field is refused by the guard ([Policy.Missing]). Whoever wants a check
// off has to say so by name ([AnyUserAgent], [NoAppProof], …).
package catalog
