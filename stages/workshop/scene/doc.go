// Package scene prepares what an attack needs: the victim with the genuine app, what the
// attacker's position gives, and the machines between them. It is the attacker's station,
// which the referee asks over the management API.
//
// The attack itself ([keyladder/mobileclient/attacker]) is given what stands in an
// [attack.Given] and nothing else; its own code can't reach the deployment's keys.
//
// The station also makes the calls that the API must refuse, each with one thing wrong
// about it (probes.go). They are no attacks: they have what the bank's apps have, and show
// that each check still refuses what it is for. And it makes the call for which somebody has
// made up an access token by hand (bearer.go).
package scene
