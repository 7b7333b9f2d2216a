// Package store opens the programs' SQLite databases, all in the same way.
//
// SQLite has one writer at a time, so a database has one connection that writes: transactions
// and single writes queue up for it. Reads outside of transactions use connections of their
// own, which can't write. They see what was committed before they began, and neither wait for
// the writer nor hold it up.
//
// Times are written in UTC, since SQLite compares them as text.
//
// Two processes may open one database. Their writers wait for each other.
package store
