// Package hawk is Hawk: a message authentication code (MAC) over one HTTP request, made with
// a key that client and server share, and another over the response.
//
// # What it is for
//
// An app key names the app and proves nothing: whoever has seen it can use it. With
// Hawk the key never travels. The client keeps a secret next to its ID, computes a MAC
// over what it is about to send, and sends the MAC. Anyone who reads along has one
// request that is good for a minute, and cannot make another one out of it.
//
// # The message
//
//	POST /hmac/v1/transfers HTTP/1.1
//	Content-Type: application/json
//	Authorization: Hawk id="harbour-mobile", ts="1353832234", nonce="j4h3g2",
//	    hash="Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=", mac="aSe1DERmZuRl3pI3…"
//
// (one line in reality). Both ends write the same text, line by line, and compute
// HMAC-SHA256 over it. This is the whole of it:
//
//	hawk.1.header             what the MAC is for, so that none can be used as another
//	1353832234                ts: seconds since 1970
//	j4h3g2                    nonce
//	POST                      method
//	/hmac/v1/transfers        path and query exactly as on the request line
//	api.harbourbank.test      host
//	8443                      port
//	Yi9LfIIFRtBEPt74PVmb…     hash of the body and its media type, or empty
//	                          ext: what the application wants covered, or empty
//
// Response MACs are made by the same function with another first line, and so is the
// MAC under the server's time. Nothing else in this package puts signed text together:
// two functions that should agree are a bug that waits for its day.
//
// The client's half is [Client], the server's is [Verifier].
//
// # What the server checks, in this order
//
//  1. The field: one, at most [MaxLength] characters, every attribute known, none
//     twice, the required ones there ([ErrMalformed] and its kin, 400).
//  2. The credentials: the ID is known ([ErrUnknownCredentials]).
//  3. The MAC, in constant time ([ErrMAC]). It is computed from what the server
//     received, never from what the field claims.
//  4. The body: a request with a body needs a hash ([ErrMissingHash]), and the hash is
//     computed anew ([ErrHash]). A correct MAC proves the hash in the field, not the body
//     behind it. A request without a body whose field has a hash is checked too,
//     so that nobody can take the body away.
//  5. The time: not more than [DefaultSkew] from the server's own ([ErrStale]).
//
// The nonce is left to the caller: whether the request is here for the first time
// is what [Verifier.Verify] can't know. Package replay remembers nonces. A server that wants each
// request to be good once has it look at [Received].Nonce after Verify, never before:
// otherwise anybody could use up the nonces of others. A server that does not lets a request be
// repeated within the time window.
//
// # What is easily got wrong
//
//   - Host and port come from the settings of both ends, never from the Host field. Hawk's
//     usual default derives them from the connection, so that a proxy that ends TLS
//     (8443 outside, 8446 inside) breaks every MAC; and a field that the client
//     chooses says nothing about which server was meant.
//   - The request target is the bytes on the request line. A server that rebuilds it
//     from a parsed URL loses a trailing "?", decodes "%2F", or sorts the query.
//   - Hawk writes the method in capitals, so `get` and `GET` have the same MAC,
//     though they are two methods. Methods that are not in capitals are refused here.
//   - Hawk leaves dlg out of the MAC where there is no app. Such a field is refused
//     here.
//   - The key is text and is used as it is, even if it looks like base64.
//   - The algorithm is SHA-256. Hawk knows SHA-1, too, fixed per credentials; letting
//     messages name their algorithm would let attackers choose it.
//   - Header fields are not covered, but for Content-Type. Where they say in whose name
//     the request is made, anyone who can change it on the way changes that. [Covered] makes
//     an ext of them.
//   - An empty key is no key. HMAC takes one without complaint, and everybody knows it.
//
// # The clock
//
// Phones have wrong clocks. A request that is too old or too new is answered with the
// server's time:
//
//	WWW-Authenticate: Hawk ts="1353832300", tsm="2mw1eh/qXz…", error="Stale timestamp"
//
// where tsm is a MAC over ts. [Client.Learn] takes the difference between the two
// clocks from it, for this server only and only if tsm verifies; the device's clock is left
// alone. Without that check anybody on the path could make a client sign requests for
// tomorrow, collect them, and use them then. An old answer with a good tsm can be sent
// again, but it only makes the client sign for the past.
//
// The MAC belongs to no request. Anyone who sits between can pass a request on, keep the
// answer, and give the client what another one was told, whose clock is wrong on purpose.
// So a client must not make a request anew because of it that the server may not carry
// out twice. It can't tell by how far off the time is: what is on its way can be held up.
//
// # The response
//
// Server-Authorization is a MAC over the request's ts, nonce, method, target, host and
// port, and over the hash of the response's body. The client knows from it that the
// answer comes from somebody with the key, was not changed, and belongs to this
// request. The hash is always there. Not covered are the status code and all fields but
// Content-Type: what a client acts on has to be in the body (or in ext). A refusal
// may come without it, because the server may not know with whom it speaks; a client
// must never take an answer for a success without it.
//
// # What it is worth
//
// Changed requests are refused, wherever they were changed; the key can't be read
// from the wire. But client and server hold the same key: the server keeps it in
// clear (a hash of it would not do), anyone who reads it there can sign for every client,
// and a client can deny what it sent. And the key is in every copy of the app. Without
// a memory of nonces, a captured request can be repeated within the time window.
//
// Mozilla, its last owner, archived it in April 2024; there is no RFC, the code is the specification
// (mozilla/hawk, version 1 of the header). Something new would use HTTP message
// signatures (RFC 9421), which are the last stage's.
package hawk
