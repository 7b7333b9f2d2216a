// Package guard is what every call passes before Harbour Bank's API sees it.
//
// It is one fixed pipeline in three segments. The stage that the first segment of the path
// names brings its policies (package catalog), which say which steps a call has to pass;
// they can neither reorder nor forget one:
//
//	admission
//	  address-limit       not too many calls from one address, whatever becomes of them
//	  stage               is there such a stage, and is it built?
//	  transport           plain HTTP, or TLS
//	  user-agent          does it say that it is an app?
//	  body                read it whole, up to a limit, for those who hash it
//	proof
//	  gateway             does it come from the gateway, and what does that say about the caller?
//	  client-certificate  app: is one shown, and good?
//	  key-in-url          app: no key in the URL
//	  app-key             app: a registered key, not revoked
//	  hawk                app: a MAC over the request, made with the key's secret, just now
//	  client-attestation  app, at OAuth's endpoints: its attester vouches for it, and it has its key
//	  dpop                sender: a proof of the device's key, made for this call
//	  message-signature   sender: the call is signed with that key, just now
//	  signed-fields       binding: was the request signed with this user and this device?
//	  nonce               app: is it here for the first time?
//	  certificate-of-app  app: does the certificate belong to the key's app?
//	  partner             partner: whose certificate is it?
//	  app                 from here on the app, or the partner, is proven
//	  app-limit           admission: not too many calls by one app
//	  nonce-kept          app: from now on it was here
//	  proof-new           sender: is that proof here for the first time?
//	  sealed-body         open it; from here on it is what the handler reads
//	  device              is the installation registered, and not banned?
//	  sign-in             user, on one route: name and password
//	  session             user, on the others: a session's key
//	  access-token        user, at later stages: a token that its issuer has signed
//	  revoked             user: was it revoked?
//	  binding             do app, device and user belong together?
//	rights
//	  scope               may they do this?
//
// Then the call is counted, and the handler gets a [Caller]. Only the guard makes
// callers, so a handler can't be reached around it: [Guard.Handle] is the one way to
// register a route. A call of no route passes the same steps and is 404 or 405 then, so
// that only proven apps learn what there is.
//
// Each step says in the pipeline which values of policies it serves, and runs where a policy
// has one of them. [New] makes a plan for every route at every stage: the steps that its calls
// pass. So a check is its rule alone, and what is not decided is no matter of calls: a guard
// is not made for stages that leave a field open, that have a value which nobody knows, whose
// values contradict each other, or that ask for something which no check serves.
//
// The needs of a [Route] are said where it is registered, and what is not said asks for the
// most. A route for partners asks for something else than the stage asks of apps, beginning
// with nothing: mutual TLS and scopes, and nothing that only an app on a phone can have.
//
// The signed fields are looked at early on purpose: what follows believes the fields that
// say who the user and the device are, and a password among them is tried.
//
// The app's limit comes late on purpose. It may only be used up by the app; checked before
// the proof, it would let everybody who knows an app's name shut that app out. For the same
// reason it comes after the check of the nonce: calls that are sent once more are not the
// app's. And it comes before the nonce is kept: all apps share the memory of nonces, and one
// whose secret leaked must not fill it with calls that are refused. The price is that a call
// which was refused up to there is still good, once and for as long as its time is. An app
// that wants one of two served sends the same one again.
//
// A check answers with nil or with a [Refusal]: what went wrong, for the client, which the
// route's format writes, and, apart from it, the private reason, which goes to the traffic
// record only.
//
// Steps can finish answers, too, be they the handler's or the refusal of a later check. What
// was opened last is closed first: where the request was signed, and signed well, the body
// is sealed, if the stage seals bodies, and then the answer is authenticated. For that it is
// held back until it is whole. Refusals by the check of the signature itself are not
// authenticated, with one exception that Hawk makes: the server's time, for clients whose
// clock is wrong.
//
// On the way of a call there is no database: apps, keys, limits, nonces, devices, users
// and sessions are in memory. Nonces are nowhere else, so a server that starts anew
// refuses what was signed before it did, and what was signed for later by a clock that is
// fast. Until when requests may have been signed is written ahead of time ([replay.Mark]), so
// that holds for a server that was killed, too. A clock that is fast by more than a few
// seconds can make a call wait for that, at most once in some seconds.
package guard
