package traffic

import (
	"bytes"
	"context"
	"time"
	"unicode/utf8"

	"keyladder/internal/feed"
)

// MaxBytes is how much a log keeps, in bytes of JSON.
const MaxBytes = 16 << 20

// Log is a bounded list of messages. It is a [feed.Reader]. The zero value is not usable; see
// [New].
type Log struct {
	program  string
	messages *feed.Memory[Message]
}

// New makes a log of one program that keeps the latest capacity messages, up to [MaxBytes].
func New(program string, capacity int) *Log {
	return &Log{program, feed.NewMemory[Message](feed.Limits{Entries: capacity, Bytes: MaxBytes})}
}

// Add records messages, one right after the other; it sets Seq, Program and, where it is zero,
// At. The bytes that a message refers to must not be changed any more. A nil log records nothing.
func (l *Log) Add(messages ...Message) {
	if l == nil {
		return
	}
	for i := range messages {
		messages[i].bound()
		messages[i].Program = l.program
	}
	l.messages.Append((*Message).weight, messages...)
}

// bound keeps a message small, and gives it a time.
func (m *Message) bound() {
	if len(m.Body) > MaxBody {
		m.Body = bytes.Clone(m.Body[:MaxBody]) // or it would hold on to all of it
	}
	if len(m.Base) > MaxHead {
		m.Base = []byte(cut(string(m.Base), MaxHead))
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
}

// cut shortens a text without splitting a character. A text that was cut is a copy, for the same
// reason.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len(ellipsis)
	for end > max(0, most-len(ellipsis)-utf8.UTFMax) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

const ellipsis = "…"

// Last is the Seq of the newest message; 0 where there is none.
func (l *Log) Last() uint64 { return l.messages.End().Number }

// End is the cursor of a reader that has read everything.
func (l *Log) End() feed.Cursor { return l.messages.End() }

// Bytes is how much is kept, in bytes of JSON or a little less.
func (l *Log) Bytes() int { return l.messages.Bytes() }

// After returns the messages with a Seq above seq that are still there, oldest first.
func (l *Log) After(seq uint64) []Message {
	messages, first := l.messages.Since(seq)
	return formatted(messages, first)
}

// Read implements [feed.Reader].
func (l *Log) Read(ctx context.Context, after feed.Cursor, wait time.Duration) (feed.Page[Message], error) {
	page, err := l.messages.Read(ctx, after, wait)
	formatted(page.Entries, page.Next.Number+1-uint64(len(page.Entries)))
	return page, err
}

// formatted fills in what a message gets when somebody looks at it.
func formatted(messages []Message, first uint64) []Message {
	for i := range messages {
		m := &messages[i]
		m.Seq = first + uint64(i)
		if m.HTTP != (HTTP{}) {
			m.Summary, m.Head = m.HTTP.text()
			m.HTTP = HTTP{}
		}
	}
	return messages
}

// Clear drops all messages. Seq goes on; readers are told to start over.
func (l *Log) Clear() { l.messages.Clear() }
