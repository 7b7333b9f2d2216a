package traffic

import (
	"context"
	"fmt"
	"time"

	"github.com/a-h/templ"

	"keyladder/internal/traffic"
)

// text is what decoders look at in a record.
func (r record) text() text {
	seen := text{Head: r.Head, Body: string(r.Body)}
	if r.Kind == traffic.Bytes { // in clear text, a head is among them
		seen.Head += "\n" + viewBody(r.Body, r.Size).Text
	}
	return seen
}

// linkTokens has the sections about tokens lead to the page that takes them apart. The address
// says where a token stands and not what it is: addresses are kept in histories and logs.
func linkTokens(message uint64, sections []section) {
	n := 0
	for i := range sections {
		if sections[i].Kind == tokenSection {
			sections[i].Link = templ.SafeURL(fmt.Sprintf("/take-apart?message=%d&n=%d", message, n))
			n++
		}
	}
}

// Token is one of the tokens in a message, counted from 0, and the stage at which it was sent.
func (t *Traffic) Token(message uint64, n int) (token, stage string, ok bool) {
	found, ok := t.hub.get(message)
	if !ok {
		return "", "", false
	}
	tokens := webTokens.Decode(found.text())
	if n < 0 || n >= len(tokens) {
		return "", "", false
	}
	return tokens[n].token, found.Message.Stage, true
}

// Judged is the server's record of a call that it has decided about.
type Judged struct {
	ID      uint64 // of the message
	Verdict traffic.Verdict
}

// Judged waits, for a moment, until the server has told what it decided about the call of an
// exchange.
func (t *Traffic) Judged(ctx context.Context, stage, exchange string) (Judged, bool) {
	ctx, cancel := context.WithTimeout(ctx, judgedWait)
	defer cancel()
	for last := uint64(0); ; {
		var records []record
		records, last = t.hub.await(ctx, last, stage)
		for _, r := range records {
			if r.Exchange == exchange && r.Lane == traffic.Server && r.Verdict != nil {
				return Judged{ID: r.ID, Verdict: *r.Verdict}, true
			}
		}
		if ctx.Err() != nil {
			return Judged{}, false
		}
	}
}

// judgedWait is how long a page waits for a record, which comes within some milliseconds
// where anybody listens.
const judgedWait = 3 * time.Second
