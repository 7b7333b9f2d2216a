// Package ledger keeps Harbour Bank's accounts and the transfers between them.
//
// A transfer is one transaction: it is booked as a whole or not at all, and the sum
// over all accounts is the same before and after it. The ledger decides what money may
// do: funds, frozen accounts, known payees, and, where the caller's user is known,
// whose account it is. Package guard decides who is calling and which
// calls an app may make, before the ledger is asked.
//
// Writers queue up, one at a time. Readers read single statements, each a snapshot of
// its own, and wait for nobody.
package ledger
