// Package exposure measures what a theft buys: how many calls, for how long. It carries the theft out
// as an attack, in a lab of its own, and goes on calling with the loot, without the position that it
// came from, while the clocks of the servers are moved ahead ([schedule]). A loot that is still good
// after all lifetimes that there are is good until somebody takes it back.
//
// Thieves are taken to keep what they have in use, so that it does not end for being idle, and their
// victims not to use the app meanwhile, which would end what is good once.
package exposure
