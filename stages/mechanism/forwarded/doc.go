// Package forwarded is how a gateway tells the API behind it who calls: a JSON Web Token (RFC 7519)
// that is good for one call and some seconds.
//
// # The messages
//
// The gateway has looked at the caller's tokens. It sends the call on without them, and says in a
// field of its own what it has found:
//
//	GET /extended-mediator/v1/accounts HTTP/1.1
//	Forwarded-Caller: eyJhbGciOiJIUzI1NiIsImtpZCI6Imdh…
//
// The token is a JWS in compact form, signed with HMAC and SHA-256 under a secret that gateway and
// API share:
//
//	header  {"alg":"HS256","kid":"gateway","typ":"caller+jwt"}
//	claims  {"iss":"https://localhost:8447/extended-mediator","aud":"https://localhost:8451/extended-mediator/v1",
//	         "client_id":"harbour-mobile","sub":"alice","scope":"accounts:read","device":"…",
//	         "htm":"GET","htu":"/extended-mediator/v1/accounts","iat":1790000000,"exp":1790000010,"jti":"…"}
//
// htm and htu are those of RFC 9449, section 4.2, the latter without scheme and host: the path as it
// is written, without the query. sub, scope and device are absent where there is no user.
//
// The gateway's half is [Sign] and [Set], the API's are [From] and [Verifier.Verify].
//
// # What it is worth
//
// The connection says already that the gateway calls: mutual TLS, and a listener for nobody else. But
// a name in a plain field would be whatever anybody has put there who gets a field past the gateway,
// and would be true for any call. This one can't be made without the secret, and is good for the
// method and the path that the gateway has looked at, for [Lifetime], and once, where the API
// remembers its jti. The body is not part of it, and has the connection alone to protect it.
//
// The holder of the secret and of the gateway's certificate can call as anybody: an API that trusts a
// gateway is as good as that gateway. Letting the access token through as well, and checking it
// again, is what products do that trust theirs less.
package forwarded
