// Package network is what the attacker has on the network: machines that carry, read and
// change other people's connections.
//
//	accesspoint.go  the router that a victim's phone has joined
//	intercept.go    an HTTP proxy that answers TLS handshakes itself
//	authority.go    certificates of the attacker's own making
//	dropper.go      a router that ends connections in place of passing something on
//	tamper.go       changes payments
//	uplink.go       the way on to the API, limits and records
//	reach.go        keeps all of them on this machine and on private networks
//
// They are told where to connect and where to record. The attacks make use of
// the messages that are heard on them.
package network
