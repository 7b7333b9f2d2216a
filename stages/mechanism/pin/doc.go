// Package pin compares the public key of a TLS server with the keys that an app was
// shipped with.
//
// # What it is for
//
// TLS alone proves that some certification authority in the device's trust store
// vouches for the server's name. On a phone that its owner controls, that says little:
// whoever installs an authority of their own can stand between app and server, and the
// app notices nothing. Pinning narrows the question from "does anybody I trust vouch
// for this server?" to "is this one of the two keys that I was built to talk to?".
//
// # What a pin is
//
// The SHA-256 of the certificate's SubjectPublicKeyInfo in DER, in base64, with
// "sha256/" in front: what OkHttp, NSPinnedDomains and RFC 7469 use. It is the key that
// is pinned, not the certificate, so that a certificate can be renewed with the same
// key. By hand:
//
//	openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der |
//	    openssl dgst -sha256 -binary | base64
//
// A [Set] holds at least two: the key in use and a backup key that is kept offline.
// With one pin only, a lost or stolen key means that every installed app stops working
// until it has been updated.
//
// # Where it is checked
//
// [Set.VerifyConnection] goes into the field of the same name of [tls.Config], and
// nowhere else:
//
//   - It adds to the ordinary verification of chain, name and dates, and does not
//     replace it. A config with InsecureSkipVerify has no verified chains, and is
//     refused with [ErrUnverified].
//   - It runs for resumed sessions too. The older VerifyPeerCertificate does not: an app
//     that pins there checks nothing on most of its connections.
//   - It looks at verified chains only. The certificates that the server sent
//     (PeerCertificates) are whatever the server liked to send: an attacker can append the
//     genuine, pinned certificate to its own chain, because certificates are public.
//     Code that looks for the pin anywhere in that list is satisfied by it
//     (CVE-2016-2402).
//   - It looks at the leaf only. Pins of authorities are useful in products; here both
//     pins are the server's own keys, so nothing else may match.
//
// # What it is worth
//
// Pins protect the app's users against authorities that were fooled or forced, and they
// make reading along harder for the phone's owner. They do not stop the owner: the pins
// are in the package, which can be changed and signed anew, and the check runs on the
// owner's phone. OWASP now advises against pinning in most cases, because the outages that it
// causes cost more than the attacks that it stops; an app that pins should control
// both ends and be able to update its pins.
package pin
