// Package jwk is the public key of a device's app as a JSON Web Key (RFC 7517), and the tokens that
// such a key signs.
//
// # The key
//
// The secure hardware of a device makes a key for each app that is installed on it, and signs with
// it; the private half never leaves it. Others learn the public half of it:
//
//	{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
//	 "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}
//
// A [Key] is made of it by [Parse], or [Of] the public half itself. Where a name is enough for it,
// that is its [Key.Thumbprint] (RFC 7638): a hash that everybody computes alike, whatever order and
// spaces the JSON has.
//
// There is one kind of key, ECDSA on the curve P-256, because that is what secure hardware offers
// everywhere, and because a verifier that takes one kind cannot be talked into another.
//
// # What it signs
//
// A token in compact form (RFC 7515, section 7.1), signed with ES256 (RFC 7518, section 3.4), is made
// by [Sign] and opened by [Open], which hands out its claims only if its signature is good. Which key
// that has to be the caller says: it may be in the header (a DPoP proof), in a certificate (a device's
// evidence), or known from elsewhere. Signatures over something else are made by [SignBytes] and
// verified by [Key.Verify].
//
// A signature is 64 bytes here: the numbers r and s, 32 bytes each. Signers in Go
// ([crypto.Signer]) give them in ASN.1, of varying length.
package jwk
