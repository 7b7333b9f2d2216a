// Package authserver is the authorization server (RFC 6749): it asks users whether a client may
// act for them, and gives clients tokens for what they said. It alone sees passwords.
//
// Each stage that has an authorization server has an issuer here, https://HOST/STAGE, with
// signing keys of its own, and offers what the stage's policy says and nothing else:
//
//	GET  /.well-known/oauth-authorization-server/{stage}   metadata (RFC 8414)
//	GET  /{stage}/authorize     what a client wants; begins a sign-in
//	POST /{stage}/sign-in       the user's name and password
//	GET  /{stage}/consent       what the user is asked
//	POST /{stage}/consent       what the user said; leads back to the client
//	GET  /{stage}/consents      what the user has allowed, to take back
//	POST /{stage}/token         package grants, as are the next two
//	POST /{stage}/revoke
//	POST /{stage}/introspect
//	GET  /{stage}/userinfo      whose access token that is, where tokens don't say it
//
// It runs twice: as the bank's, and as that of another company, which is weaker ([Config].Issuer). What
// each offers at a stage says the stage's policy for it.
//
// The guard admits calls of all of them, as it does at the API, and records what was refused by
// which check.
//
//   - authorize.go, redirect.go: requests and where their answers go
//   - interaction.go: what is known of a sign-in between its pages
//   - signin.go, consent.go, consent_list.go: the pages
//   - metadata.go, server.go
//   - management.go, grants.go: what the admin sees and changes
package authserver
