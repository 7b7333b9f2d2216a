// Package replay is the memory that makes a signed call good once: a cache of the nonces
// that were seen.
//
// # What it is for
//
// A signature proves who made a call, and that nobody changed it. It doesn't prove that the
// call arrives for the first time. Anyone who gets hold of a complete call, from a log behind the
// end of TLS for example, can send it again, byte by byte. So the client puts a
// random nonce and the time into what it signs, and the server remembers the nonces.
// The time limits how long: a call outside the time window is refused anyway.
//
// # How long is long enough
//
// Clocks may be skew apart, either way. A call that is signed for the time ts is in the window
// from ts-skew to ts+skew, which is 2×skew, and its nonce must be known for all of it.
// Keeping a nonce for skew after it was seen is the usual mistake: a call of a client
// whose clock is 50 seconds fast can be repeated 70 seconds later. Here a nonce lives
// until ts+skew, by the server's clock.
//
// # How it works
//
// Nonces are grouped by ts, one group per second. [Cache.Add] drops the groups that
// have left the window, each as a whole, then looks and adds under the same lock: two
// copies of a call that arrive together can't both be new. A nonce is kept as 16 bytes
// of a SHA-256 over ID and nonce, so that its length costs no memory. Finding two
// nonces of one ID with the same 16 bytes makes the second look seen, which only hurts
// whoever did that.
//
// # What happens at the bounds
//
//   - Full. The number of nonces is bounded, because memory is. A cache that is full must
//     not forget what is in the window to make room: anybody with one working credential
//     could then flush a call out and repeat it. It refuses what is new with [ErrFull]. That
//     is an outage on purpose, and the reason for limiting rates per client in front
//     of it: [Cache.Seen] turns copies away before they count, and what the limit refuses
//     is not added. [Limit] computes the bound from the rate of calls that has to be served.
//   - Outside the window. Add refuses such a call with [ErrOutside] instead of taking somebody's
//     word that it had been checked.
//   - A clock that is set back. Groups that were dropped are not there any more, so calls of
//     their time stay refused, although the window is back where they were.
//   - A restart. The memory starts empty, and what was seen before can be sent again until the
//     window has passed. [Config].Start refuses calls that were signed before the
//     memory began, at the price that clients with slow clocks wait for some
//     seconds. Some calls were signed for the future, by clocks that are fast, so the new
//     memory begins after those, too. A [Mark] says when that is. It is written ahead of
//     time, so that it is right after a power cut as well.
//   - More than one server. Each has its own memory, so that a call is good once per server.
//     They need a common one then, with the same three properties: check and add in one
//     step, the whole window, refuse when full.
//
// # The order
//
// Everything else about a call has to be verified before its nonce is added, above all the
// signature. A server that remembers first lets anybody, without any key, use up the
// nonces of others and fill the memory.
package replay
