// Package clients knows who may call the API: apps, with their keys and the secrets that
// go with those, and partners, with their certificates.
//
// Every call asks it, so it answers from memory: a snapshot that is never changed, only
// replaced. A change is written to the database first and then takes effect with the
// next call; one that can't be written does not take effect. The change is told in a feed in
// the same database, so that another process which has it open follows within a second.
//
// When a key was last accepted or refused is kept in memory alone, in each process for itself.
// It changes with every call, and nothing depends on it but a person who is looking.
package clients
