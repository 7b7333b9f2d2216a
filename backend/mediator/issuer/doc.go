// Package issuer is the mediator as an authorization server of its own (RFC 6749), the one that apps
// know: strict whatever the providers behind it do.
//
//	GET  /.well-known/oauth-authorization-server/{stage}   metadata (RFC 8414)
//	POST /{stage}/par                  an app pushes its authorization request (RFC 9126)
//	GET  /{stage}/authorize            a user agent brings the reference to it
//	POST /{stage}/provider             the user has chosen who vouches for them
//	GET  /{stage}/callback/{provider}  the provider's answer, which leads back to the app
//	POST /{stage}/token
//	POST /{stage}/revoke
//	POST /{stage}/challenge            a challenge for the proof of a client attestation
//	GET  /{stage}/jwks                 the key with which the API signs its answers, where it does
//
// Apps show their client integrity token at par, token and revoke, or a client attestation and a proof
// that they have its key, and nothing before that looks at what they send. They have no secret; PKCE with S256 binds the code to whoever has asked for it, and
// code, family and access tokens belong to the installation that pushed the request, and to the holder
// of its key, where it has one.
//
// # What keeps users apart
//
// There are two authorization requests in each sign-in, the app's and the mediator's own to the
// provider, and somebody can try to join one's first half with another's second:
//
//   - Each provider has a redirect URI of its own, and the state that it was given names the sign-in
//     and the provider that the user has chosen. An answer that comes to another's is refused, and so
//     is one whose iss is not the issuer of that provider, errors included (RFC 9207; RFC 9700,
//     section 4.4): the code is sent to nobody.
//   - The state belongs to the user agent that has brought the pushed request, by its cookie. Nobody
//     can have another's user agent finish what they have begun, or finish what another has begun.
//   - State, request_uri and code are good once.
//   - Where the provider knows PKCE, its code is bound to the sign-in as well.
//   - What the provider says about the user it says in answer to the mediator's own request, with
//     the mediator's secret.
//
// The state between the steps is in the database, and each step is one transaction. So a
// mediator that dies loses a sign-in at most, while its provider is asked.
package issuer
