// Package token is the access token: a JSON Web Token (RFC 7519) in the profile of RFC 9068
// that says who may call the API, through which client, and for how long.
//
// # The messages
//
// The client gets a token from a token endpoint and shows it with every call (RFC 6750,
// section 2.1):
//
//	GET /password-grant/v1/accounts HTTP/1.1
//	Authorization: Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Ijc…
//
// It is three parts in base64url with points between them, a JWS in compact form (RFC 7515,
// section 7.1):
//
//	header     {"alg":"HS256","kid":"7Qh…","typ":"at+jwt"}
//	claims     {"iss":"https://localhost:8443/password-grant","sub":"alice",
//	            "aud":"https://localhost:8443/password-grant/v1","client_id":"harbour-app",
//	            "iat":1790000000,"exp":1790000300,"jti":"…","scope":"accounts transfers"}
//	signature  HMAC with SHA-256 over the two parts before, as they are written
//
// The issuer's half is [Key.Sign], the client's is [Set], and the resource server's are [From] and
// [Verifier.Verify]. [Verifier.Examine] is for people: it makes every check and says
// what each finds, where the resource server stops at the first that fails.
//
// # What it is worth
//
// A session key means nothing until somebody looks it up. A token brings with it what the
// server would look up, and the signature keeps the client from changing that. So any server
// that knows the signing key can answer a call without asking another one.
//
// It can be read by whoever sees it, the client as well: signed is not encrypted. And it is a
// bearer token: whoever has it can use it until it expires. Ending it earlier takes a list of
// revoked tokens, and with it some of the state that tokens were to avoid.
//
// # What the verifier insists on
//
// A token says itself how it wants to be verified, and most attacks on tokens live from
// servers that do as they are told (RFC 8725). [Verifier] decides beforehand:
//
//   - Three parts in their only spelling. An encrypted token (five parts), the JSON forms of a
//     JWS, padding, line feeds and spare bits are refused.
//   - The header has alg, kid and typ, each once, and nothing else: no jwk, jku, x5u or x5c, by
//     which a token would bring its own key, and no crit.
//   - alg is HS256, in exactly these letters: "none" in any spelling is just another name that
//     is not HS256.
//   - kid names a key of the issuer's own set. It is compared, and used for nothing else.
//   - typ is at+jwt, so that no other kind of token opens what an access token opens. "JWT"
//     says nothing about the kind.
//   - Every claim of the profile is there once, with its type. A token without exp is one that
//     never expires, to servers that look at exp only if there is one.
//   - iss and aud are ours, compared byte for byte. A token of another stage is another
//     issuer's.
//   - exp lies ahead and iat (and nbf, if there is one) does not, but for a leeway, because
//     the issuer's clock may be another one. exp gets none.
//
// # Where this is not RFC 9068
//
// The RFC asks issuers and resource servers to support RS256, so that servers need nothing
// secret to verify with. The document that this project follows signs with a secret which
// both know. That is simpler, and every server which verifies tokens could also make them.
package token
