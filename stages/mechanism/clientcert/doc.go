// Package clientcert is mutual TLS: the app, too, shows a certificate, and proves in
// the handshake that it holds the private key.
//
// # What the app does
//
// [Load] reads the pair that the app was shipped with, [Present] puts it into its
// [tls.Config]. That is all: the handshake signs a transcript that both sides chose
// randomness for, so nothing that was seen on one connection opens another. This is
// what the app key could not do; the key is sent, the private key never is.
//
// # What the server checks
//
// Two questions, and both matter:
//
//   - Is this a certificate for an app at all ([Verifier.Verify])? It must chain to the authority that
//     issues such certificates (and to no other: the authorities of the web would let
//     everybody in who can get a web certificate), be good for client authentication
//     (RFC 5280, section 4.2.1.12), and be in its time. TLS has asked this once, in
//     the handshake; connections live longer than that, so it is asked at each call.
//   - Is it the certificate of the app that the key names ([BelongsTo])? Its pin must be
//     among those registered for that app. Without this, the kiosk's certificate would open the
//     door for whoever knows the key of the phone app.
//
// Pins name the public key (see package pin), so that a certificate can be renewed
// without registering it again.
//
// # Behind a TLS terminator
//
// Where TLS ends before the server, at a load balancer, the server no longer sees the
// handshake. RFC 9440 says how the terminator passes the certificate on: in the field
// Client-Cert, as a byte sequence of structured fields, the DER in base64 between
// colons:
//
//	Client-Cert: :MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6...:
//
// A certificate is public. The field proves nothing by itself; anybody can write it.
// It is worth what the way from the terminator is worth (RFC 9440, section 4): the
// terminator has to remove the field from what clients send ([Strip]), and the server
// has to ignore it on every listener but the one that only the terminator can reach.
// From there on, who controls the terminator can make any call in any app's name.
//
// # What it is worth
//
// Calls by anybody who does not hold the key fail in the handshake or before the first
// check of the API. But the key has to be in the app, so it is in the package, where it
// can be found. And the certificate vouches for the connection, not for what is sent
// on it: after TLS ends, a call can be changed or sent again.
package clientcert
