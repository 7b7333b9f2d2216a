// Package session is how a user signs in with a password once and is recognised by a
// random key from then on.
//
// # The messages
//
// Signing in is HTTP Basic (RFC 7617), once, over TLS:
//
//	POST /user-session/v1/session HTTP/1.1
//	Authorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==
//
// and the answer has a key, which every call carries after that:
//
//	GET /user-session/v1/accounts HTTP/1.1
//	Authorization: Session 8hNrvbUlAeiFyGKuKMqoTRWQ2kQfdUXU0p3XZm7BBkQ
//
// The scheme `Session` is our own. The app's own proof is not in this field; it
// needs one to itself.
//
// The client's halves are [SetBasic] and [SetKey], the server's [BasicFrom] and [KeyFrom].
// [Covered] is for both: what a signature of the app has to cover so that nobody can put
// another user into the request.
//
// # The password
//
// Basic is a password in base64, which is a spelling and not a protection: everything
// depends on TLS. The parser decides what the two ends could read differently:
//
//   - The first colon ends the user's name; a password may have colons, a name may not.
//   - The text is UTF-8. Servers that take Latin-1, too, have two passwords for one user.
//   - Control characters are refused, as the RFC says, and so are base64 that has
//     line feeds, no padding or spare bits, more than one field, and more than
//     [MaxLength] bytes, because the hash of a password is made to be expensive.
//
// Names and passwords come out as they were sent. RFC 7617 asks clients for
// normalization form C; a user who types "é" on two keyboards depends on it.
//
// The parser knows no users. The one who does must take the same time for users that exist
// and users that don't, and hash passwords with something slow.
//
// # The key
//
// 256 random bits, in base64url. There is nothing in it: who it stands for, since when and
// for how long is known to the server alone, so that it can be ended at any moment. It
// is new with every sign-in; a key that existed before its user was proven could be one that
// somebody else chose (session fixation).
//
// The server does not store the key, but its SHA-256 ([Key.Digest]). A copy of the database is
// then no bundle of sessions. A slow hash, as for passwords, would be pointless: nobody
// guesses 256 bits. Looking the digest up in a map or an index is safe as well, though it
// takes different times: somebody who measures them learns about digests, and can't make
// keys that have digests of their choice.
//
// # How it ends
//
// By signing out, by revocation, and by [Lifetimes]: after a time without calls, which is for
// the phone that was left on a table, and after a time since the sign-in, which is for the key
// that somebody took and keeps busy.
//
// # What it is worth
//
// The password is sent once instead of with every call, and never stored in the app. But
// whoever has the key is the user, until the session ends. It is in the app's storage,
// in the app's memory and in every call. And the password still passes through the app: a
// look-alike gets it as easily.
package session
