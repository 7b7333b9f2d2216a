// Package usage counts who calls what: calls per app, stage, route and day, served and
// refused.
//
// Counting is an addition in memory, so that no call waits for a disk. [Counter.Flush]
// adds what has come together to the database; a server that dies loses what it has
// counted since the last one.
//
// [Sources] counts from where calls come: users, addresses and user agents, of which strangers
// can invent any number.
package usage
