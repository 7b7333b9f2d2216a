package attacker

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"keyladder/internal/traffic"
)

// sendFromInside sends a call to the API from behind the end of TLS, as it is, and records
// it as the attacker's, under a Traffic-Id of its own: no check reads that.
func (g *Given) sendFromInside(ctx context.Context, call Captured) (status int, body []byte, err error) {
	exchange := rand.Text()
	call.Header = call.Header.Clone()
	call.Header.Set(traffic.Header, exchange)
	summary := call.Method + " " + call.Target
	g.record(traffic.Message{
		Exchange: exchange, Kind: traffic.Request, From: Party, To: "resource",
		Summary: summary, Head: head(summary+" HTTP/1.1", "", call.Header), Body: call.Body, Size: len(call.Body),
	})
	if status, body, err = g.Inside.Send(ctx, call); err != nil {
		return 0, nil, fmt.Errorf("send a call from behind the end of TLS: %w", err)
	}
	g.record(traffic.Message{
		Exchange: exchange, Kind: traffic.Response, From: "resource", To: Party,
		Summary: fmt.Sprintf("%d %s", status, http.StatusText(status)), Body: body, Size: len(body),
	})
	return status, body, nil
}

// recordChange records that the attacker has changed a call that somebody else has sent.
func (g *Given) recordChange(where, method, target string, header http.Header) {
	g.record(traffic.Message{
		Lane: traffic.Network, Exchange: header.Get(traffic.Header), Kind: traffic.Note,
		From: Party, To: "resource", Summary: "changed " + where + ": " + method + " " + target,
	})
}
