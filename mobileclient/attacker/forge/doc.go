// Package forge makes access tokens for somebody else, of what anybody has: a token of one's
// own, which shows what the issuer's look like, the documents on JSON Web Tokens, and the
// server's public certificate. It has no key that the issuer signs with.
//
// Each forgery is made for a fault that some server had (RFC 8725, sections 2 and 3): it
// believes what a token says about itself, before it has verified it.
//
//	forge.go    the list
//	parts.go    puts tokens together, and signs them with keys of one's own
package forge
