// Package traffic keeps what was said between the programs, in three lanes: what
// the app sees, what the network sees and what the server sees, with the check that
// decided. Records live in bounded memory, the oldest are dropped, and recording
// never waits for anybody.
//
// Records hold complete messages, keys and tokens included, because that is what a
// class looks at. They are handed out on the management listener alone and are never
// written to a disk or a log.
package traffic

import (
	"bytes"
	"context"
	"sync"
	"time"
	"unicode/utf8"
)

// Header names the exchange that a request belongs to, so that the lanes of one call
// can be laid side by side. It is not protected and no check reads it.
const Header = "Traffic-Id"

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
	Seq      uint64    `json:"seq"` // from 1, without gaps, per program
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
}

// Verdict is what a check decided about a message. Check and Reason are private:
// they are shown to the class and never sent to the client.
type Verdict struct {
	Allowed bool   `json:"allowed"`
	Check   string `json:"check"`  // the check that refused; the last one where all let it pass
	Reason  string `json:"reason"` // for people
}

// Log is a bounded list of messages. The zero value is not usable; see [New].
type Log struct {
	program string
	mu      sync.Mutex
	ring    []Message
	first   uint64 // Seq of the oldest message that may be handed out
	next    uint64 // Seq of the next message
	changed chan struct{}
}

// New makes a log of one program that keeps the latest capacity messages.
func New(program string, capacity int) *Log {
	return &Log{program: program, ring: make([]Message, capacity), first: 1, next: 1, changed: make(chan struct{})}
}

// Add records a message; it sets Seq, Program and, where it is zero, At. A nil log
// records nothing.
func (l *Log) Add(m Message) {
	if l == nil {
		return
	}
	if len(m.Body) > MaxBody {
		m.Body = bytes.Clone(m.Body[:MaxBody]) // or it would hold on to all of it
	}
	m.Head, m.Summary = cut(m.Head, MaxHead), cut(m.Summary, maxLine)
	if m.Verdict != nil && len(m.Verdict.Reason) > maxLine {
		verdict := *m.Verdict
		verdict.Reason = cut(verdict.Reason, maxLine)
		m.Verdict = &verdict
	}
	if m.At.IsZero() {
		m.At = time.Now()
	}
	m.Program = l.program
	l.mu.Lock()
	m.Seq = l.next
	l.ring[m.Seq%uint64(len(l.ring))] = m
	l.next++
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
}

// cut shortens a text without splitting a character. What is kept is a copy, for the same
// reason.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len(ellipsis)
	for end > most-len(ellipsis)-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

const ellipsis = "…"

// Last is the Seq of the newest message; 0 where there is none.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - 1
}

// After returns the messages with a Seq above seq that are still there, oldest first.
func (l *Log) After(seq uint64) []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.first
	if held := uint64(len(l.ring)); l.next > held {
		oldest = max(oldest, l.next-held)
	}
	var messages []Message
	for s := max(seq+1, oldest); s < l.next; s++ {
		messages = append(messages, l.ring[s%uint64(len(l.ring))])
	}
	return messages
}

// Wait is After, but waits for a message when there is none, until ctx ends.
func (l *Log) Wait(ctx context.Context, seq uint64) []Message {
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if messages := l.After(seq); len(messages) > 0 {
			return messages
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Clear drops all messages. Seq goes on, so a reader just hears nothing more.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.ring)
	l.first = l.next
}
