// Package codes keeps authorization codes (RFC 6749, section 4.1).
//
// A code is 256 random bits, and what is sealed behind them. It is good for one client, at one stage, with the redirect URI of
// the authorization request, once, and for a short time. Only its SHA-256 is kept.
//
// # Once
//
// [Store.Redeem] claims a code in one statement, and mints what the client gets for it in the
// same transaction. So there is no moment in which a code is used and its tokens are not there
// yet: whoever comes second finds them and can end them, and a server that is killed in
// between has done nothing, so that the client can send the code again.
//
// A code that comes again was stolen, or its client is broken. It is refused with a
// [UsedError], and the caller ends what was minted from it: those tokens carry the code's ID as
// their origin, so nothing else of that user ends (RFC 6749, sections 4.1.2 and 10.5).
//
// # The challenge
//
// Where the client has sent a code challenge (RFC 7636), it is in the code itself, behind the
// random bits: encrypted and authenticated with AES-256-GCM, under a key that the server keeps,
// and together with the random bits, the stage, the client and the redirect URI, so that it can't
// be put behind those of another code. The database knows nothing of challenges. A server that
// had no database could do the same with all that a code stands for, but for one thing: that it
// is good once is something that has to be remembered.
//
// # Whose code it is
//
// The wrong client, the wrong redirect URI and the wrong verifier are refused, and leave the code,
// and what was minted from it, as they were. RFC 6749 (section 4.1.3) and RFC 7636 (section 4.6)
// have the code bound to them, which is enough to make it worthless to others. If it died as
// well, anybody who sees a code go by could spoil the sign-in of its owner. The binding is
// checked first, so that an answer does not tell others whether a code was used.
package codes
