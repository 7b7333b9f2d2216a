// Package attack is what the attacks are made of; it holds no attack itself.
//
//	position.go    what an attack is given, and what it brings home
//	program.go     an HTTP client that takes the app's place
//	answer.go      tells a refusal from a failure
//	rob.go         takes what can be taken
//	own_device.go  a phone of the attacker's own with the app open
//	memory.go      searches the memory of the app on that phone
//	package.go     takes the app's package apart, and packs it again
//	made_up_phone.go  a phone that there is not, for an attestation service
package attack
