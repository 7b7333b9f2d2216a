// Package bench measures what the protection of each stage costs, over real connections.
//
// The server is a process of its own, so that the client shares neither its memory nor its
// garbage collector. It is the resource server as it always runs, with traffic records on
// and limits that nobody reaches; beside it the same server answers without its guard, on
// listeners of their own, and net/http answers with nothing behind it, or after one bare operation of ECDSA
// or HMAC.
//
// The client makes and signs its calls ahead of time, and then sends bytes over connections
// that stay open: what it does costs the same for every target. On Linux it does not interrupt the server
// where answers wake it up. A round measures all targets
// one after the other, and each stage right after the unguarded handler over the same
// transport, so that a machine which has other things to do as well disturbs both alike. The
// result is the median of the rounds.
package bench
