// Package tokens is the access tokens of one issuer's database: its signing keys, the tokens
// that it issued, and those that were revoked.
//
// # Issuing
//
// Each stage has an issuer of its own, with keys of its own, so that a token of one stage is
// worth nothing at another. [Store.Issue] signs with a stage's newest key and writes down what
// the token says, but not the token. [Store.Rotate] makes a new key. Tokens under the one
// before are good for as long as the overlap, or until it is withdrawn with [Store.Withdraw];
// clients know no key, so they notice nothing.
//
// # Checking
//
// [Store.Verify] answers out of memory. A token that was verified is remembered by its hash,
// so that the next call with it costs a hash; what can have changed meanwhile, its key and the
// time, is looked at each time. Whether it was revoked is a question of its own:
// [Store.Revoked].
//
// # Revoking
//
// A revocation is written first. Then it is in force here, and within a second in every
// process that follows the feed of changes ([Store.Follow]). It is forgotten when the token
// would have expired anyway.
//
// # On other servers
//
// A resource server that does not issue its tokens has a [Mirror]: the same memory, kept in
// step with the issuer's feed over its management API. It checks tokens alone, and asks nobody
// when a call comes.
//
// # Use
//
// The calls with a token are kept by the servers that check it ([Journal]), and so is where
// an admin has switched off that they refuse those that were revoked ([RevocationSwitch]): to
// show what a token that says everything itself is without that check.
package tokens
