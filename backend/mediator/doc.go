// Package mediator is the authorization mediator: it stands between the bank's apps and their
// authorization server, and adds the client secret that no app has any more.
//
// Its routes are below a stage, where the apps' way to tokens leads through it:
//
//	POST /token    exchange a code, or a refresh token
//	POST /revoke   give a token back
//
// A request is one of RFC 6749 (section 3.2) or RFC 7009 without a client secret, and has the app's
// client integrity token in its place:
//
//	POST /mediated/token HTTP/1.1
//	Client-Integrity-Token: eyJhbGciOiJIUzI1NiIsImtpZCI6Imh…
//	Content-Type: application/x-www-form-urlencoded
//
//	grant_type=authorization_code&code=…&redirect_uri=…
//
// It passes, in this order:
//
//	admission         as everywhere (package guard)
//	integrity-token   the app is the genuine one: nothing before this looks at the form
//	device-limit      not too many requests of one installation
//	form              no secret is in it, and no other client than the token's
//
// Where users choose a provider in the app, the form can name one in provider, and else it is the bank's
// authorization server.
//
// Then the mediator sends it there, authenticated with the secret that only
// servers share, and passes the answer on as it is. So an app that was not attested is told nothing
// about its code, which nobody has looked at and which stays good.
//
// Of what passes through, the mediator keeps and logs nothing. Clients and their secrets it knows from
// the authorization server, and follows it as they change. So one that is killed loses nothing: a
// refresh whose answer got lost is asked for again with the same Idempotency-Key, which is passed on.
//
// The authorization server is as it was, and does not know the mediator from another client. To
// it, all requests come from the mediator's address.
//
// At later stages it issues tokens itself (package issuer) and is the gateway in front of the API
// (package gateway). Its own data are in its database then: providers, sign-ins, sessions and
// tokens. Any number of mediators can share one.
package mediator
