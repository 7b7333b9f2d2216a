// Package devices knows the installations of apps that call the API.
//
// On its first start an app registers the identifier that the device gives it, and gets a
// GUID of 128 random bits for it. Both go with every call from then on. An identifier
// that is in use is taken, at each stage, so nobody can claim somebody else's; the GUID is
// what only the one who registered it has. It is kept as a SHA-256, which is enough for
// what can't be guessed. Until the first call is served the app can register its
// identifier anew, since it may not have got the answer. Another app can't, but whoever
// has the app's secret and knows the identifier can, in that moment.
//
// A banned device stays registered, so that its identifier can't come back under another
// GUID. That does not keep its owner out for good: who holds the app's secret can
// register an invented identifier. A ban is a way to stop one installation at once, and
// no proof of what runs where. For the same reason the number of devices is bounded for each
// app at each stage ([MostOfApp]), and those that were registered and never used make room
// for others. Anyone who takes the trouble to use each of ten thousand inventions can still keep
// new installations of that app out of that stage, until an admin removes them, best after
// the app's secret was rotated.
//
// Every call asks for a device, so all are in memory; changes are written to the
// database first. When a device was last seen is written each second by [Registry.Flush].
package devices
