// Package sealed encrypts the bodies of requests and responses with a key that client and
// server share.
//
// # What it is for
//
// TLS ends before the server does: at a load balancer, a content delivery network, a
// debugging proxy with a certificate that somebody trusted. Anyone who sits there reads
// and logs the bodies. A sealed body is opened by the application alone.
//
// # The message
//
//	POST /hidden-secrets/v1/transfers HTTP/1.1
//	Content-Type: application/jose
//
//	eyJhbGciOiJkaXIiLCJjdHkiOiJqc29uIiwiZW5jIjoiQTI1NkdDTSJ9..nHQ9DSEj…
//
// That is a JSON Web Encryption in compact form (RFC 7516, section 7.1) under the media
// type that is registered for it (RFC 7515, section 9.2.1): five parts, with points
// between them.
//
//	header       {"alg":"dir","cty":"json","enc":"A256GCM"}
//	key          empty: with "dir" there is no other key than the shared one
//	IV           96 random bits
//	ciphertext   AES-256-GCM
//	tag          128 bits, over the ciphertext and the header as it is written
//
// The cty is the media type of what is inside. As RFC 7515, section 4.1.10, has it,
// "application/" is left out.
//
// # The keys
//
// The shared secret is not used as the key. HKDF with SHA-256 (RFC 5869) makes two keys from
// it, one for each direction, by different info texts. So the key that signs
// and the keys that encrypt are different ones; and a request's body sent back as a response
// doesn't open. Without the two directions, anyone who can't read a body could still
// make the server's words out of the client's.
//
// The shared secret has to be random. HKDF does not make a guessable one better.
//
// Random IVs limit how many bodies one key may seal: 2^32 (NIST SP 800-38D, section
// 8.3), after which two equal IVs become too likely to be ignored, and two equal IVs
// give away the key that authenticates. All copies of an app together have one secret
// here; at 5,000 calls a second they get there in ten days. A product would derive a
// key per installation or session.
//
// # What the opener insists on
//
// A JWE says itself how it wants to be opened, and that is the danger in it. [Key.Open]
// decides beforehand: `dir` and `A256GCM`, and a header of exactly alg, enc and cty.
// Anything else is refused before there is any cryptography: other algorithms, key IDs
// and keys in the header, `crit`, and `zip`, because decompression
// turns a small body into a big one and lets the length tell about the content.
//
// The library does the cryptography and most of that. Four things it leaves to us: that
// the second part is empty (RFC 7516, section 5.2, step 10), that the tag is 16 bytes
// and not some of the ciphertext too, that header members beyond those three are
// refused, and that there is one spelling only. Base64 has spare bits, and decoders skip line feeds,
// so that the same bytes can be written in several ways; a cache or log that compares
// texts would think them different.
//
// # How it goes with the signature
//
// Seal, then sign: the hash in the signature covers the sealed body and its media type,
// and the server verifies the signature before it opens anything. The encryption doesn't
// say to which request a body belongs, or when it was sent. A sealed body can be put
// into another request; it is the signature that refuses that. The lengths, the URL and all
// fields remain readable.
//
// # A portion of a message
//
// Where others have to read some of a message, a portion of it is sealed
// ([Key.SealMembers]): a gateway that routes by currency, a log that keeps references. The
// members of an object that are confidential become one JWE, beside those that are not:
//
//	{"currency":"EUR","reference":"a book","sealed":"eyJhbGciOiJkaXIi…"}
//
// That costs less, where little is confidential, and the signature covers the whole body as
// before. What it leaves open: the names of the clear members and their values, how many
// objects there are, and how long each portion is. And both ends have to agree, once and
// for all, what is confidential: the opener refuses such a member in the clear, or
// somebody would forget to seal one.
package sealed
