// Package httpsig is HTTP message signatures (RFC 9421): a signature over parts of a message, which
// its fields carry. The holder of the key has made this very request, and nobody has changed it since.
//
// # What it is for
//
// A token says who somebody is, and whoever has copied it is that somebody. A proof of possession
// (RFC 9449) says that the sender has a key, and is about the method, the URI and the token: whoever
// passes the call on can change the rest, such as the payee. A signature over all of it leaves a thief
// with one call that is good once, as it is.
//
//	POST /signed-calls/v1/transfers HTTP/1.1
//	Content-Type: application/json
//	Authorization: DPoP eyJ…
//	Client-Integrity-Token: eyJ…
//	Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
//	Signature-Input: device=("@method" "@target-uri" "content-type" "content-digest" "authorization"
//	    "client-integrity-token");created=1795780800;expires=1795780815;nonce="V5H…";keyid="0Zc…";tag="keyladder"
//	Signature: device=:wNmSUAhwb5LxtOtO…:
//
// (each field is one line). Both ends build the same text, the signature base:
//
//	"@method": POST
//	"@target-uri": https://localhost:8447/signed-calls/v1/transfers
//	"content-type": application/json
//	"content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
//	"authorization": DPoP eyJ…
//	"client-integrity-token": eyJ…
//	"@signature-params": ("@method" "@target-uri" "content-type" …);created=1795780800;…
//
// and its SHA-256 is signed with ECDSA on P-256. The two signatures of a call, and both halves of
// each, build it with one function, [Signature.Base].
//
// # What is in here
//
// [Read], [Signature.Base], [Signature.Sign] and [Signature.Verify] are RFC 9421, as far as it is
// needed: fields, members of dictionaries (;key), the request that a response answers (;req), and the
// derived components but for @query-param and @request-target. A feature that is not supported is refused
// ([ErrUnsupported]), so is what nobody knows: a parameter that is passed over may be one that changes
// what is meant.
//
// [SignRequest], [VerifyRequest], [Received.SignResponse] and [Sent.CheckResponse] are the profile of
// this project: what has to be covered, and which parameters there have to be. The standard leaves that
// to its users, and a signature that is good may cover nothing at all.
//
// # What the server checks, in this order
//
//  1. The form: one signature with the label, its fields not too long, components known, none twice
//     ([ErrMissing], [ErrMalformed]).
//  2. What it says about itself: created, expires and nonce are there, it is made for this purpose
//     ([ErrTag]), with the algorithm that the key is for ([ErrAlgorithm]) and with the key that the
//     sender's token is bound to ([ErrKey]).
//  3. What it covers: all that the profile wants ([ErrUncovered]), and all of that is there ([ErrAbsent]).
//  4. The signature ([ErrSignature]).
//  5. The content: its hash is computed anew (package digest). A body without a digest that is covered
//     was refused in step 3.
//  6. The time ([ErrNotYet], [ErrExpired]), and how long it wants to be good ([ErrLifetime]). The
//     response to a request that failed here is signed, so that a phone whose clock is wrong learns the
//     time from somebody whom it can believe.
//
// The nonce is left to the caller: whether the request is here for the first time. Package
// replay remembers that.
//
// # What is easily got wrong
//
//   - The key comes from the token, never from the message. keyid is compared with it, and finds
//     nothing; alg is compared with what the key is for, and chooses nothing.
//   - The target URI is made of the server's own address and the request line. A Host field says what
//     the client wants it to say.
//   - Fields that are there and not covered can be put in by anybody on the way. So a field that matters
//     has to be covered where it is there, and one that is covered has to be there.
//   - The order of components and parameters is the signer's. Written in another one, they are another
//     text.
//   - A component must not be there twice, and `"a";req;key="x"` is the same one as `"a";key="x";req`.
//   - A value with a line feed could look like two lines.
//   - A signature is r and s, of 32 bytes each. Go's crypto.Signer makes ASN.1.
//   - A label that is there twice counts once, the last one, as structured fields have it (RFC 9651,
//     section 3.2). Others' labels are left alone: whoever passes a message on may sign it, too.
//
// # The response
//
// It is signed with a key of the server's over its status, the digest of its content, its media type,
// and of the request over method, target URI and signature. No two requests have the same signature, so
// that the client knows from it that this is the answer to this request, and that it has not been
// changed. A response that answers a request without a good signature is not signed: there is nobody
// whom it could be for.
//
// # What it is worth
//
// The server can't make what it verifies, as it can with Hawk, where both ends hold one secret. It
// costs one ECDSA verification and one signature per call; the rest is small beside them (see the
// benchmarks). It does not say that the app is the genuine one: whoever can have the key sign
// can sign anything. That is for the tokens to say.
package httpsig
