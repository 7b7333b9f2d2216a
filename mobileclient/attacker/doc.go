// Package attacker holds the attacks, a file each, and the tools that they share.
//
// An attack gets a [Ground]: what its position gives, and nothing else. It uses the
// technique that it is named for, steals what it uses, and ends with a [Result]: it
// believes that it succeeded, or it names the obstacle that stopped it. An error
// means that it could not be carried out, so that nothing was learned: a connection
// that broke is not a protection. Nobody believes the result; the goal is checked on
// the server's side.
//
// The package imports nothing of the servers, the PKI or the lab; a test watches
// that. The tools, in files of their own:
//
//	program.go      an HTTP client that takes the app's place
//	loot.go         finds keys and certificates in bytes of any origin
//	accesspoint.go  the router that a victim's phone has joined
//	intercept.go    an HTTP proxy with a certification authority of its own
//	repackage.go    takes a package apart, changes it and signs it anew
//	memory_linux.go reads and writes another process's memory
//	tracer_linux.go holds another process under ptrace
package attacker
