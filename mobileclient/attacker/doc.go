// Package attacker holds the attacks, a file each, and lists them all in run.go.
//
// Attacks from outside are here: at the public addresses, on the path, in logs, behind the
// end of TLS. Those that begin with the app itself, its package, memory or storage, are in
// package appside.
//
// An attack gets an [attack.Given]: what everybody has and what its position gives, and
// nothing else. It uses the technique that it is named for, steals what it uses, and ends
// with an [attack.Result]: it believes that it succeeded, or it names the obstacle that
// stopped it. An error means that it could not be carried out, so that nothing was learned:
// a connection that broke is not a protection. Nobody believes the result; the goal is
// checked on the server's side.
//
// None of these packages imports anything of the servers, the PKI or the lab; a test watches
// that. The parts that attacks share are in package attack, and the tools are packages of their own:
//
//	attack     what an attack is given and brings home, and what attacks have in common
//	debugger   holds a running program and reads its memory
//	forge      makes other tokens out of one
//	network    carries, reads and changes other people's connections
//	lookalike  an app that looks like the bank's
//	loot       finds keys and certificates in bytes of any origin
//
// The debugger is written for Linux; elsewhere the attacks that need it end with a
// [*debugger.Impossible] that says so.
package attacker
