// Package guard is what every call passes before Harbour Bank's API sees it.
//
// It is one fixed pipeline. The stage that the first segment of the path names brings a
// policy (package catalog), which fills the steps in; it can neither reorder nor skip
// them:
//
//	 1  stage               is there such a stage, and is it built?
//	 2  policy              is everything decided? What is not, denies
//	 3  transport           plain HTTP, or TLS
//	 4  user-agent          admission: does it say that it is an app?
//	 5  address-limit       admission: not too many calls from one address
//	 6  body                read it whole, up to a limit, for those who hash it
//	 7  client-certificate  app proof: mutual TLS; is one shown, and good?
//	 8  key-in-url          app proof: no key in the URL
//	 9  app-key             app proof: a registered key, not revoked
//	10  hawk                app proof: a code over the request, made with the key's secret, just now
//	11  signed-fields       binding: was the request signed with this user and this device?
//	12  nonce               app proof: is it here for the first time?
//	13  client-certificate  app proof: does it belong to the key's app?
//	14  app-limit           admission: not too many calls by one app
//	15  nonce               app proof: from now on it was here
//	16  sealed-body         open it; from here on it is what the handler reads
//	17  device              is the installation registered, and not banned?
//	18  sign-in             user proof, on one route: name and password
//	19  session             user proof, on the others: a session's key
//	20  binding             do app, device and user belong together?
//	21  scope               authorization: may they do this?
//
// Then the call is counted, and the handler gets a [Caller]. Only the guard makes
// callers, so a handler can't be reached around it: [Guard.Handle] is the one way to
// register a route. What is no route passes the same steps and is 404 or 405 then, so
// that only proven apps learn what there is.
//
// What a [Route] needs is said where it is registered, and what is not said asks for the
// most. A route for partners has a policy of its own, made out of the stage's: mutual TLS
// and scopes, and nothing that only an app on a phone can have.
//
// Step 11 is a binding that comes early on purpose: what follows believes the fields that
// say who the user and the device are, and a password among them is tried.
//
// Step 14 is an admission that comes late on purpose. An app's limit may only be used
// up by the app; checked before the proof, it would let everybody who knows an app's
// name shut that app out. For the same reason it comes after step 12: calls that are
// sent once more are not the app's. And it comes before step 15: all apps share the memory
// of nonces, and one whose secret leaked must not fill it with calls that are refused. The
// price is that a call which was refused up to there is still good, once and for as long
// as its time is. An app that wants one of two served sends the same one again.
//
// A check answers with nil or with a [Refusal]: the problem that the client is told,
// and, apart from it, the private reason, which goes to the traffic record only. The
// policy's values that switch a check off are spelled out in it, and a value that it does
// not know denies. So do values that contradict each other, such as remembered nonces where
// requests carry none.
//
// The answer to a request whose code was good is authenticated in turn, be it what the
// handler says or the refusal of a later check, and sealed where the stage seals bodies. For that
// it is held back until it is whole. Refusals by step 10 itself are not, with one
// exception that Hawk makes: the server's time, for clients whose clock is wrong.
//
// On the way of a call there is no database: apps, keys, limits, nonces, devices, users
// and sessions are in memory. Nonces are nowhere else, so a server that starts anew
// refuses what was signed before it did, and what was signed for later by a clock that is
// fast: until when requests were signed is written down each second. A server that is killed
// may lose that second.
package guard
