// Package terminator is a TLS-terminating reverse proxy: what a load balancer does in
// front of an API.
//
// It shows the API's certificate to the apps, asks for theirs, and hands each call on
// over a connection of its own, on which it proves with a client certificate that it is
// the terminator. Its knowledge about the client goes along in two fields, which are
// removed from what clients send, because the API believes them:
//
//	X-Forwarded-For: 203.0.113.7        the one address that the connection came from
//	Client-Cert: :MIIBqDCC...:          the certificate that the client proved to hold (RFC 9440)
//
// Here the call is in the clear. It can be logged ([Terminator.Calls]), changed
// ([Terminator.OnRequest]) and sent once more ([Terminator.Send]), and neither app nor
// API can tell, as long as what protects the call ends where TLS does. Attacks from that
// position use this package as it is.
package terminator
