// Package attacker holds the attacks, a file each, and the tools that they share.
//
// An attack gets a [Given]: what everybody has and what its position gives, and nothing
// else. It uses the technique that it is named for, steals what it uses, and ends with a
// [Result]: it believes that it succeeded, or it names the obstacle that stopped it. An error
// means that it could not be carried out, so that nothing was learned: a connection
// that broke is not a protection. Nobody believes the result; the goal is checked on
// the server's side.
//
// The package imports nothing of the servers, the PKI or the lab; a test watches
// that. The tools, in files of their own:
//
//	program.go      an HTTP client that takes the app's place
//	imitate.go      does with its calls what the stage demands: sign, seal, register
//	loot.go         finds keys and certificates in bytes of any origin
//	accesspoint.go  the router that a victim's phone has joined
//	intercept.go    an HTTP proxy that answers TLS handshakes itself
//	authority.go    certificates of the attacker's own making
//	tamper.go       changes payments
//	own_device.go   a phone of the attacker's own with the app open
//	repackage.go    takes a package apart, changes it and signs it anew
//	hook.go         takes secrets from the memory of the running app
//	prove.go        tells by a signature, or a certificate, which bytes are a secret
//	look_alike_app.go is an app that looks like the bank's
//	memory_linux.go reads another process's memory
//	tracer_linux.go holds another process under ptrace and changes its memory
//	reach.go        keeps all of them on this machine and on private networks
//
// The memory and debugger tools are written for Linux; elsewhere the attacks that need
// them end with an [*Impossible] that says so.
package attacker
