// Package attacker holds the attacks, a file each, and the tools that they share.
//
// An attack gets a [Given]: what everybody has and what its position gives, and nothing
// else. It uses the technique that it is named for, steals what it uses, and ends with a
// [Result]: it believes that it succeeded, or it names the obstacle that stopped it. An error
// means that it could not be carried out, so that nothing was learned: a connection
// that broke is not a protection. Nobody believes the result; the goal is checked on
// the server's side.
//
// The package imports nothing of the servers, the PKI or the lab, nor do its tools; a test
// watches that. The tools are packages of their own:
//
//	debugger   holds a running program and reads its memory
//	network    carries, reads and changes other people's connections
//	lookalike  an app that looks like the bank's
//	loot       finds keys and certificates in bytes of any origin
//
// Here is what attacks share:
//
//	given.go       what an attack is given, and what it brings home
//	program.go     an HTTP client that takes the app's place
//	answer.go      tells a refusal from a failure
//	rob.go         takes what can be taken
//	own_device.go  a phone of the attacker's own with the app open
//
// The debugger is written for Linux; elsewhere the attacks that need it end with a
// [*debugger.Impossible] that says so.
package attacker
