// Package clientattestation is OAuth 2.0 Attestation-Based Client Authentication
// (draft-ietf-oauth-attestation-based-client-auth-12): a client without a secret authenticates to an
// authorization server by what an attester says about this very installation of it, and by a key that
// this names.
//
// # The messages
//
// The attester, which is the attestation service here, gives an installation a token with the public
// key of its device:
//
//	header  {"typ":"oauth-client-attestation+jwt","alg":"ES256","kid":"…"}
//	claims  {"sub":"harbour-mobile","iat":1790000000,"exp":1790000060,
//	         "cnf":{"jwk":{"kty":"EC","crv":"P-256","x":"…","y":"…"}},"device":"…","release":3}
//
// The client shows it where it would authenticate otherwise, with a proof that it has the key:
//
//	POST /device-bound/par HTTP/1.1
//	OAuth-Client-Attestation: eyJ…
//	OAuth-Client-Attestation-PoP: eyJ…
//
//	header  {"typ":"oauth-client-attestation-pop+jwt","alg":"ES256"}
//	claims  {"aud":"https://localhost:8447/device-bound","jti":"…","iat":1790000000,"challenge":"…"}
//
// Where a request carries a DPoP proof anyway, that proves the same (the combined mode): then there is
// no second field, the proof has to be signed with the key of the attestation, and its nonce takes the
// place of the challenge.
//
// The attester's half is [Sign], or [Fail]; the client's are [Set], [SignPoP] and [SetPoP]; and the
// server's are [From], [Verifier.Verify], [PoPFrom] and [PoPVerifier.Verify].
//
// # What the server checks
//
//   - Each field is there once.
//   - The attestation is of an attester that is trusted, and it has not expired. Its cnf has a public
//     key.
//   - sub is the client_id of the request.
//   - The proof is signed with that key, for this server alone: aud is one string, its issuer.
//   - It was made just now, it has a challenge that the server has given out a short time ago, and it
//     is here for the first time. That is asked last, so that nothing is remembered of what is refused.
//
// The draft gives errors codes of their own, which are constants here.
//
// # What it is worth
//
// An attestation that was copied is worth nothing without the key of its device, and no two
// installations have the same. It takes the place of the client integrity token at the authorization
// server, where any server that speaks OAuth understands it. It lives as short as that does, so the
// state of the device is a minute old at most.
package clientattestation
