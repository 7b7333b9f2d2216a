// Package appkey is the app key: the oldest way in which an app says who it is.
//
// # The message
//
// An app is registered and gets an ID, which it sends with every call:
//
//	GET /app-id/v1/rates HTTP/1.1
//	Authorization: key harbour-mobile
//
// The field is the one that HTTP has for credentials (RFC 9110, section 11.6.2), with
// a scheme of our own, `key`, and one token after it. Older APIs took the key from the
// URL, and many still do:
//
//	GET /app-id/v1/rates?key=harbour-mobile HTTP/1.1
//
// The client's half is [Set] and [SetQuery], the server's [FromRequest].
//
// # What the server checks
//
// That there is exactly one key, that it is registered, and that it was not revoked.
// More there is not: nothing in the request shows that its sender is more than somebody
// who has seen the key before.
//
//   - One key, not two. A request with two Authorization fields, or with a key in the
//     field and another in the URL, means one thing to a proxy that reads the first and
//     another to a server that reads the last. [ErrTwice] refuses it, whichever is right.
//   - A key that is unknown and one that was revoked must look the same from outside;
//     otherwise the API tells which keys used to be good.
//
// # What it is worth
//
// The key is a name more than a secret. It is in every copy of the app, and it travels
// with each call. It is good for statistics, for limits per app, and for telling
// well-behaved clients apart; whoever reads one call can make all others. In a URL it
// leaks further, because URLs are written down by everyone whom they pass: access logs,
// proxies, browser histories, Referer fields, crash reports. So the first thing to take
// away is the URL, with a refusal instead of quiet tolerance: a client that gets
// through with its key in the URL will go on sending it there.
package appkey
