// Package loot finds what identifies a caller in bytes of any origin: a package, a process's
// memory, a recorded connection, an access log, what an app has stored. It knows what such
// things look like, not where they are.
//
// There is a finder for each mechanism, in a file of its own:
//
//	clientid.go      client IDs: in settings, Authorization fields and URLs
//	useragent.go     what apps call themselves
//	secret.go        secrets that stand under their names, and requests signed with them
//	certificate.go   client certificates, and the private keys that belong to them
//	installation.go  the device's identifier and the GUID that the API gave out for it
//	session.go       session keys
//	token.go         access tokens
//
// A finder says how what it found goes into an identity ([protect.Identity]) and whether
// calls under a stage's policy need it. A new mechanism is a new file, and a line in
// [Loot].
//
// A secret without a shape is told by what it does: prove.go finds the secret that a signed
// request was signed with among all texts, and scalars.go the private key of a certificate
// among all numbers.
package loot
