// Package integrity is the client integrity token: a JSON Web Token (RFC 7519) with which an
// attestation service says that an app is the genuine one. It takes the place of a secret in the
// app.
//
// # The messages
//
// The attestation service looks at the app (package attestation) and gives it a token that is good
// for a minute. The app shows it with every call, in a field of its own beside the access token,
// which says who the user is:
//
//	GET /attested-hash/v1/accounts HTTP/1.1
//	Client-Integrity-Token: eyJhbGciOiJIUzI1NiIsImtpZCI6Imh…
//	Authorization: Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Ijc…
//
// It is a JWS in compact form, signed with HMAC and SHA-256 under a secret that attestation service
// and resource server share, and no app has. kid names a key of the client's, as each client has
// secrets of its own:
//
//	header  {"alg":"HS256","kid":"harbour-mobile-servers","typ":"client-integrity+jwt"}
//	claims  {"iss":"https://localhost:8445/attested-hash","sub":"harbour-mobile",
//	         "aud":"https://localhost:8443/attested-hash/v1","iat":1790000000,"exp":1790000060,
//	         "jti":"…","release":2,"device":"…","level":"package-hash"}
//
// The attestation service's half is [Sign], or [Fail], the app's is [Set], and the resource server's
// are [From] and [Verifier.Verify].
//
// # A token that is not good
//
// An app that is not genuine gets a token as well ([Fail]): of the same length, with the same
// header and the same claims, signed with a key that nobody knows. Somebody who tries one thing after
// another at the attestation service is told nothing there, and has to ask the API each time,
// where calls are counted, limited and on record. Only who knows the secret can tell the two
// apart.
//
// # What it is worth
//
// It says what the app was when it was looked at, and nothing about the program that shows the
// token: whoever lifts it out of the app's memory can use it until it expires. A short life makes
// that a matter of a minute, and needs no refresh token, because nobody has to be asked: the app
// is looked at again. Where the device has a key, the token is bound to it (cnf.jwk; RFC 7800, section
// 3.2): then it is worth something only to who can sign with that key.
//
// The verifier insists on what package token says of access tokens. The two kinds exclude
// each other by typ, issuer and key, so that none opens what the other opens.
package integrity
