package traffic

import (
	"time"

	"keyladder/stages/catalog"
)

// Header names the exchange that a request belongs to, so that the lanes of one call
// can be laid side by side. It is not protected and no check reads it.
const Header = "Traffic-Id"

// StageHeader names the stage that a request is about, for servers that know no stages. It is for
// records as [Header] is.
const StageHeader = "Traffic-Stage"

// MaxBody is how many bytes of a body a record keeps.
const MaxBody = 16 << 10

// MaxHead is how many bytes of a head a record keeps, and maxLine how many of a summary
// and of a reason. Strangers write them, long before anything limits their calls.
const (
	MaxHead = 8 << 10
	maxLine = 2 << 10
)

// Lane is where a message was seen.
type Lane string

// The lanes.
const (
	App     Lane = "app"     // by the app, or the program in its place
	Network Lane = "network" // by whoever carries the bytes
	Server  Lane = "server"  // by the server, after TLS
)

// Kind is what a record holds.
type Kind string

// The kinds.
const (
	Request  Kind = "request"
	Response Kind = "response"
	Bytes    Kind = "bytes" // a piece of a connection: clear text, or TLS records
	Note     Kind = "note"  // something that happened without a message, such as a refused handshake
)

// Message is one record.
type Message struct {
	Seq      uint64    `json:"seq"` // from 1, without gaps, per process
	At       time.Time `json:"at"`
	Lane     Lane      `json:"lane"`
	Program  string    `json:"program"` // who recorded it: phone, attacker, resource, …
	Stage    string    `json:"stage,omitempty"`
	Exchange string    `json:"exchange,omitempty"` // the Traffic-Id; for the network lane that of the connection
	Kind     Kind      `json:"kind"`
	From     string    `json:"from"` // participants: app, attacker, network, resource
	To       string    `json:"to"`
	Summary  string    `json:"summary"`        // one line: "GET /tls/v1/accounts", "200 OK", "TLS application data, 412 bytes"
	Head     string    `json:"head,omitempty"` // start line and header fields, as text, at most [MaxHead] bytes
	Body     []byte    `json:"body,omitempty"` // at most [MaxBody] bytes
	Size     int       `json:"size"`           // of the whole body or piece, in bytes
	Verdict  *Verdict  `json:"verdict,omitempty"`
	// Base is the text that a signature of the message is over (RFC 9421, section 2.5): for the app's lane
	// the one that it has signed, for a server's the one that it has built itself. At most [MaxHead] bytes.
	// It travels nowhere, and holds what the head does.
	Base []byte `json:"base,omitempty"`

	// HTTP is the message's head, where a server records it in place of Summary and Head.
	// Readers get those two.
	HTTP HTTP `json:"-"`
}

// Verdict is what a check decided about a message. Check and Reason are private:
// they are shown to the class and never sent to the client.
type Verdict struct {
	Allowed bool          `json:"allowed"`
	Check   catalog.Check `json:"check"`  // the check that refused; the last one where all let it pass
	Reason  string        `json:"reason"` // for people
}
