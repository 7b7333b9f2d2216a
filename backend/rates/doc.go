// Package rates is a third party's rates API, as a bank buys it: Lighthouse Rates. It belongs to
// nobody whom apps know, and none of them talks to it.
//
//	GET /v1/market-rates   what currencies are bought and sold at
//
// A customer of it has a key, which it sends in a field of its own:
//
//	GET /v1/market-rates HTTP/1.1
//	Api-Key: TBKQ5M…
//
// Each key has a quota for the minute and one for the day, and whoever has the key can use it up, at
// the customer's expense. So the bank keeps it on a server, the mediator, which as a gateway adds it
// to the calls of its apps. The rest of a quota stands in each answer.
//
// A call passes two checks:
//
//	third-party-key     there is one, and it is a customer's
//	third-party-quota   something is left of the customer's quotas
//
// The server keeps the hashes of keys alone (package customers). Calls are counted as package usage does, which is also
// where the server finds, when it starts, what was used of the day.
//
// It knows no stages. Where the bank's gateway says for which one it asks ([traffic.StageHeader]),
// that is for the records, and nothing goes by it.
package rates
