package attacker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
)

// wiretap carries the victim's connections, as the router of a café does, and listens.
// The messages in the clear hold the credentials of the app, and those are good for
// any call. Nothing is changed, and the victim notices nothing.
//
//keyladder:code attack-wiretap
func wiretap(ctx context.Context, g *attack.Given) (attack.Result, error) {
	uplink, err := g.Uplink(nil)
	if err != nil {
		return attack.Result{}, err
	}
	ap, err := network.NewAccessPoint(ctx, uplink, nil)
	if err != nil {
		return attack.Result{}, err
	}
	defer ap.Close()
	g.Victim.Join(ap.Address())
	defer g.Victim.Join("")
	g.Say("The victim's phone has joined an access point that listens.")
	screen, err := g.Victim.Pay(ctx)
	if err != nil {
		return attack.Result{}, fmt.Errorf("the victim does not pay: %w", err)
	}
	if !screen.OK {
		return attack.Result{}, fmt.Errorf("the victim's app does not work through the access point: %s", screen.Error)
	}

	var heard loot.Loot
	encrypted := 0
	for _, c := range ap.Heard() {
		if c.Encrypted() {
			encrypted++
			g.Say("Heard %d bytes to the API and %d back: TLS records.", len(c.Sent()), len(c.Received()))
			continue
		}
		for request := range requests(c.Sent()) {
			g.Say("Heard a request in the clear: %s %s.", request.Method, request.URL.Path)
			g.Record(traffic.Message{
				Lane: traffic.Network, Exchange: request.Header.Get(traffic.Header), Kind: traffic.Note,
				From: "app", To: network.Party, Summary: "overheard in the clear: " + request.Method + " " + request.URL.Path,
			})
		}
		heard.Search(c.Sent())
	}
	switch {
	case len(heard.Secrets.Signed) > 0:
		return g.RobUnder(ctx, &heard)
	case len(heard.ClientIDs) > 0:
		g.Say("In it: %s.", &heard)
		tries, err := g.Identities(heard.OfApp()...)
		if err != nil {
			return attack.Result{}, err
		}
		return attack.RobAs(ctx, g, tries)
	case encrypted > 0:
		return attack.Result{Check: catalog.CheckTLS, Obstacle: "only ciphertext passes"}, nil
	}
	return attack.Result{}, errors.Join(errors.New("nothing was heard"), ap.Err())
}

// requests are the HTTP requests that were sent over a connection, one after the other.
func requests(sent []byte) iter.Seq[*http.Request] {
	reader := bufio.NewReader(bytes.NewReader(sent))
	return func(yield func(*http.Request) bool) {
		for {
			request, err := http.ReadRequest(reader)
			if err != nil || !yield(request) {
				return
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return
			}
		}
	}
}
