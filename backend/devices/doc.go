// Package devices knows the installations of apps that call the API.
//
// On its first start an app registers the identifier that the device gives it, and gets a
// GUID of 128 random bits for it. Both go with every call from then on. An identifier
// can be registered once per stage, so nobody can claim somebody else's; the GUID is what
// only the one who registered it has. It is kept as a SHA-256, which is enough for what
// can't be guessed.
//
// A banned device stays registered, so that its identifier can't come back under another
// GUID. That does not keep its owner out for good: who holds the app's secret can
// register an invented identifier. A ban is a way to stop one installation at once, and
// no proof of what runs where.
//
// Every call asks for a device, so all are in memory; changes are written to the
// database first. When a device was last seen is written each second by [Registry.Flush].
package devices
