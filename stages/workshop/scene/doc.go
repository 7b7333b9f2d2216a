// Package scene sets the stage for attacks: the victim with the genuine app, the ground
// that the attacker's position gives, and what is between them. It is the attacker's
// station, asked by the referee over the management API.
//
// The attack itself ([keyladder/mobileclient/attacker]) gets a Ground from here and
// nothing else; its own code can't reach the deployment's keys.
//
// The station also makes the calls that the API must refuse, each with one thing wrong
// about it (probes.go). They are no attacks: they have what the bank's apps have, and tell
// which check is still at its post.
package scene
