// Package testbank is Harbour Bank for tests of its clients: the real resource server of a
// deployment, which runs in a folder of the test's own, on free ports.
//
// In front of it is a [Front], which ends TLS as the bank does, keeps what arrives, and can be
// told to misbehave: to change answers, to give some of its own, and to be gone. Otherwise clients
// get the answers of the resource server from it.
//
// The keys, the certificates and the users of all banks of a process are the same; each bank
// has databases of its own. A test that needs packages packs them with [Bank.Settings].
package testbank
