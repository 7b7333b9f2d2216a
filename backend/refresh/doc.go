// Package refresh keeps refresh tokens (RFC 6749, section 6) and rotates them (RFC 9700,
// section 4.14.2).
//
// # Families
//
// A refresh token is good once: [Store.Rotate] takes it and gives its successor. All tokens
// that came of one sign-in are a family, and one of them is good at a time. If a token comes
// that was used before, it was copied, and nobody knows whether the thief or the client has the
// good one. So the family dies, and its user signs in anew on that device; other families of
// the user have nothing to do with it.
//
// A family ends when it was not used for long (Config.Idle), when it is old however busy it is
// (Config.Absolute), and when it is revoked. Every method that ends families says which ones, so
// that the caller can end the access tokens that carry their IDs.
//
// The wrong client is refused, and the family lives on: RFC 6749 (section 10.4) has a token
// bound to its client, and so it is worth nothing to others. A family ends by reuse by its
// own client, where one of two copies has to be stolen.
//
// Where families are bound to a device, or to its key, another one is refused as well. If it comes
// with the newest token, the family lives on: the device that owns it has that token, too, and goes
// on with it, and otherwise each copy of its storage could sign the user out. If it comes with one
// that was used, the family dies as on its own device: the token was stolen, and whoever did that
// may have others.
//
// # Once
//
// A token is claimed in one statement, and its successor, and what the caller mints, are written
// in the same transaction. It is committed before anybody gets the new token. Of a thousand
// requests with one token, one succeeds; the next one ends the family.
//
// # Lost answers
//
// A client whose answer got lost would end its own family by asking again. It can send an
// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), a random text that it chose before
// it asked the first time. The successor is derived:
//
//	next = base64url(HMAC-SHA256(the token that is used, "next" ‖ salt ‖ idempotency key))
//
// with a salt of 128 random bits that is kept beside the token's hash. So the same token with the
// same key has the same successor, and giving it again makes no fork in the family. It is given
// again only for a short time (Config.Repeat), and only while it was not used itself. Somebody
// who has stolen the old token lacks the key. Somebody who has stolen the database lacks both:
// there are only the hashes of token and key. Without a key the successor is random, and nothing
// is ever given again.
package refresh
