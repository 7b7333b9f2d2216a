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
//	10  client-certificate  app proof: does it belong to the key's app?
//	11  app-limit           admission: not too many calls by one app
//	12  user                user proof
//	13  binding             do app, user and this request belong together?
//	14  scope               authorization: may they do this?
//
// Then the call is counted, and the handler gets a [Caller]. Only the guard makes
// callers, so a handler can't be reached around it: [Guard.Handle] is the one way to
// register a route. What is no route passes the same steps and is 404 or 405 then, so
// that only proven apps learn what there is.
//
// Step 11 is an admission that comes late on purpose. An app's limit may only be used
// up by the app; checked before the proof, it would let everybody who knows an app's
// name shut that app out.
//
// A check answers with nil or with a [Refusal]: the problem that the client is told,
// and, apart from it, the private reason, which goes to the traffic record only. Each
// check has a file; the policy's values that switch one off are spelled out in it, and a
// value that it does not know denies.
//
// On the way of a call there is no database: apps, keys and limits are in memory.
package guard
