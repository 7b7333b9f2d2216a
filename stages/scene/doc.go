// Package scene sets the stage for attacks: the victim with the genuine app, the ground
// that the attacker's position gives, and what is between them. It is the attacker's
// station, asked by the referee over the management API.
//
// The attack itself ([keyladder/mobileclient/attacker]) gets a Ground from here and
// nothing else; its own code can't reach the deployment's keys.
package scene
