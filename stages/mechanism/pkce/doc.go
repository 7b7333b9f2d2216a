// Package pkce is Proof Key for Code Exchange (RFC 7636): an authorization code that only the one
// who has asked for it can redeem.
//
// # The messages
//
// For each authorization request the client makes up a verifier ([NewVerifier]), keeps it, and
// sends what is derived from it ([Challenge]):
//
//	GET /pkce-s256/authorize?…&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256
//
// The redirect brings a code. The client that redeems it has to show the verifier:
//
//	grant_type=authorization_code&code=…&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk
//
// The server reads the request with [Read], remembers challenge and method with the code, and
// compares with [Verify]. It compares what comes with the code, and nothing that comes with the
// token request can change the method.
//
// # The methods
//
// With [Plain] the challenge is the verifier. That helps against those who see the redirect
// alone, as another app on the same URI scheme does. Somebody who sees the request as well has all
// that they need. With [S256] the challenge is the verifier's SHA-256, and the request gives
// nothing away. A request that names no method means plain (section 4.3), so a server that does
// not take plain has to refuse it, and not fall back to something.
//
// # What the server checks
//
//   - A verifier is 43 to 128 of the characters A–Z, a–z, 0–9, "-", ".", "_" and "~"
//     ([CheckVerifier]). Shorter ones could be found by trying, with the hash at hand.
//   - A code that was asked for with a challenge is redeemed with a verifier, or not at all.
//   - A verifier for a code that was asked for without a challenge is refused, too (RFC 9700,
//     section 4.8.2): somebody has taken the challenge out of the request, or has put a code of
//     their own into somebody else's redirect.
//
// # What it is worth
//
// The verifier is in the memory of the app instance that has begun, for as long as a user needs
// to sign in. A code that was caught on its way is worth nothing without it, be it in a program
// of the thief's or in the genuine app on the thief's phone. It proves no client: whoever begins
// a request has a verifier.
package pkce
