// Package protect is the client's side of a call. It dresses a request as a stage's call
// policy says, with an identity that the caller has, and checks the answer. The app, the
// attacker, the workshop's probes, `stages sign` and `stages bench` all make their calls with
// it, and differ in where their identity comes from: settings and storage, loot, packages,
// flags.
//
//	caller, err := protect.New(policy, api, protect.Identity{ClientID: …, Secret: …})
//	dressed, err := caller.Dress(protect.Call{Method: "GET", Path: "/v1/rates", Public: true})
//	request, err := dressed.HTTP(ctx)
//	…
//	answer, err := dressed.Check(response, body)
//
// # What a call goes through
//
// The order is the same at every stage, and a mechanism has its place in it:
//
//  1. the body is sealed, where the stage seals bodies;
//  2. fields say who is calling: the installation and the user;
//  3. the app's proof goes over all of that.
//
// The answer goes the other way: first it is verified, then opened. The other work of an
// app, such as repeating calls and reaching the server, is not done here.
//
// # Mechanisms
//
// There is a file for each: tls.go (with client certificates and pins), sealed.go, device.go,
// session.go, token.go (with oauth.go, which gets tokens), appkey.go, hawk.go, integrity.go
// (with attest.go, which gets tokens), httpsig.go. It says which values of the call policy it serves, and what
// it does with a call. [New] refuses a policy with a value that no file serves, so that nobody
// ever does less than a stage asks for. A new mechanism is a new file, and a line in the list
// of mechanisms (mechanism.go).
//
// # Signing in
//
// How a user signs in, and what stands for them afterwards, differs from stage to stage. With
// [Caller.SignInCall], [Caller.ReadSignIn] and [Caller.SignOutCall] (signin.go) nobody has to
// ask which.
//
// Where users sign in on a page of an authorization server, the caller is a client of that
// ([Caller.OAuth], in oauth.go): it has the user agent open the page, reads where that leads,
// and gets tokens for it. No password passes through here then.
//
// # Being attested
//
// Where an attestation service looks at apps, [Caller.Attester] asks it for client integrity tokens.
// The caller decides what it is shown ([Evidence]): an app shows what it is ([Measured]), and
// an attacker what they like.
//
// # Identities with gaps
//
// The credentials that an [Identity] does not have are left out: a caller without the app's secret makes calls
// that are neither signed nor sealed. [Caller.Lacks] says what is missing; the genuine app
// refuses to call then. [Identity.Proof] puts bytes that were found somewhere in the place of
// a proof, and [Call.Spoil] changes one thing on the way: probes do one thing wrong with it.
package protect
