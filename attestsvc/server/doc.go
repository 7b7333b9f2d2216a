// Package server is the attestation service. It looks at apps, and gives each of them a client
// integrity token, by which the API is told what came of it and the app is not.
//
//	POST /{stage}/v1/sessions        an app says what it is; a session waits for its evidence
//	GET  /{stage}/v1/sessions/{id}   how far a session is
//	POST /{stage}/v1/sessions/{id}   evidence, once and in time; the answer has the token
//
// The guard admits calls of all of them, as it does at the API, and records what was refused. What
// is wrong with an app is no refusal: see package level. A malformed request is answered with 400.
//
// It owns the results, the devices, the references and what is enforced. It does not own the
// clients, whose secrets it signs tokens with: the authorization server does, whose feed it follows.
//
//   - attest.go, sessions.go: a round of attestation
//   - latencies.go: how long answers took and what shape they have, for a page that shows that nobody can tell by them
//   - management*.go: what the admin sees and changes
//   - server.go
package server
