// Package traffic keeps what was said between the programs, in three lanes: what
// the app sees, what the network sees and what the server sees, with the check that
// decided. Records live in memory that is bounded in number and in bytes, the oldest are
// dropped, and recording never waits for anybody. Readers follow them as a feed (see package
// feed), which tells them what was dropped before they came to read it.
//
// Recording a call costs little: what net/http read is kept as it is ([HTTP]) and is formatted
// when somebody looks.
//
// Records hold complete messages, keys and tokens included, because that is what a
// class looks at. They are handed out on the management listener alone and are never
// written to a disk or a log.
package traffic
