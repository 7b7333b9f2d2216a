// Package traffic shows what is seen: every message in three views, live, taken apart, and
// as a sequence diagram.
//
//	GET  /traffic                         ?stage=, three lanes, newest first
//	GET  /traffic/rows                    ?after=ID: what came since, as table rows; waits for it
//	GET  /traffic/{id}                    one message, opened
//	POST /traffic/clear
//
// The hub hears the programs' records and keeps the latest in memory. The parts of a message
// that come from a mechanism are laid out by a decoder of its own, a file each.
package traffic

//go:generate go tool templ generate
