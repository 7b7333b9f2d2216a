// Package dpop is Demonstrating Proof of Possession (RFC 9449): with each request, a client proves that
// it has the key that its tokens are bound to, so that a token alone is worth nothing.
//
// # The messages
//
// A request carries a proof in a field of its own, a token that is made for this request and signed
// with the client's key:
//
//	POST /device-bound/v1/transfers HTTP/1.1
//	Authorization: DPoP eyJhbGciOiJIUzI1NiIsImtpZCI6Ijc…
//	DPoP: eyJhbGciOiJFUzI1NiIsImp3ayI6eyJjcnYiOiJQLTI1NiIs…
//
//	header  {"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"…","y":"…"}}
//	claims  {"jti":"…","htm":"POST","htu":"https://localhost:8447/device-bound/v1/transfers",
//	         "iat":1790000000,"ath":"…","nonce":"…"}
//
// The client's half is [Sign] and [Set], the server's [From] and [Verifier.Verify]. To whom a proof is
// shown, it says by method and URL; what it goes with, by the hash of the access token ([TokenHash]).
// At token endpoints there is no token yet, and the token that is issued is bound to the key of the
// proof: it carries the key's thumbprint in cnf.jkt.
//
// # What the server checks
//
// The signature says that somebody has the private half of the key in the proof's own header. It is
// for the server to say which key that has to be: it compares [Proof.Key] with what the tokens of the
// request are bound to. Beside the signature, [Verifier.Verify] checks:
//
//   - htm and htu are those of the request. Of the URL, query and fragment count for nothing (section
//     4.3), and it is compared after normalisation, so that the client's spelling does not matter.
//   - iat is no further away than clocks may be apart, in both directions.
//   - ath is that of the access token that comes along, wherever one does.
//   - nonce is one that the server has given out a short time ago (package servernonce). So proofs
//     can't be made in advance by someone who has the key for a moment (section 11.2).
//
// # Once
//
// A proof is good once: the server remembers its jti by the key's thumbprint until the end of its
// window (package replay), so that it is not that who sees a request can send it again. Only a request
// that passed everything else may be remembered.
//
// # What it does not cover
//
// Body, query and other fields of the request can be changed by who is on its way after TLS ends, and
// answers are covered by nothing. HTTP message signatures cover both.
package dpop
