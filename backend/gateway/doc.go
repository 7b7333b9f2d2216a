// Package gateway is the gateway in front of Harbour Bank's API, where a stage has one. It runs in the
// mediator's program, which issues the access tokens that it looks at.
//
// Its routes are those of the API (package api), at the same paths:
//
//	GET /extended-mediator/v1/accounts      at the gateway, with both tokens
//	GET /extended-mediator/v1/accounts      behind it, with Forwarded-Caller in their place
//
// and one of its own, for which it asks a third party, with a key that no app has (package marketrates):
//
//	GET /extended-mediator/v1/market-rates
//
// A call passes the guard first, admission and proof, as it would at the API where there is no
// gateway. The API says what app and user may do. Then the gateway sends it on, over mutual
// TLS, to a listener of the API that nobody else gets to:
//
//   - Of the fields that came, those in [passedOn] go along, and no others: no token, nothing that
//     says who calls or from where. The gateway itself has written what the API believes.
//   - Who calls is in a token that is good for this call alone (package forwarded).
//   - A call that changes nothing (GET, HEAD) is sent once more where the connection failed. Any other
//     is not: it may have been carried out.
//   - Where the API does not answer, the gateway does: 503 with Retry-After while it is known to be
//     down, 502 for half an answer, 504 for one that takes too long, all on record by the check
//     "upstream". Whether it is up again is looked at in the background.
//
// A gateway that people have already, such as nginx or Caddy, can ask this one whether a call is good,
// and send it on itself, at stages whose calls are not signed as a whole: see [Subrequests].
package gateway
