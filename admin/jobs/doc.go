// Package jobs carries out what takes longer than a page may: attacks, the matrix, and the
// genuine app on the phone. It remembers what came of them until the process ends, and
// shows how far they are.
//
//	POST /run                             the genuine app runs on the phone; back to the page that asked
//	POST /jobs/{id}/cancel                also while it waits
package jobs

//go:generate go tool templ generate
