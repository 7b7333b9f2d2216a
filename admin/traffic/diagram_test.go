package traffic

import (
	"testing"
	"time"

	"keyladder/internal/traffic"
)

func TestDiagram(t *testing.T) {
	t.Parallel()
	var records []record
	add := func(m traffic.Message) { records = append(records, record{ID: uint64(len(records) + 1), Message: m}) }
	for range 40 {
		add(traffic.Message{Lane: traffic.App, Kind: traffic.Request, From: "app", To: "resource", Summary: "GET /tls/v1/rates"})
		add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, From: "resource", To: "app", Exchange: "c", Summary: "server hello"})
		add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, From: "resource", To: "app", Exchange: "c", Summary: "more"})
		add(traffic.Message{Lane: traffic.Server, Kind: traffic.Request, From: "attacker", To: "resource", Summary: "GET /tls/v1/rates", Verdict: &traffic.Verdict{Check: "app-key"}})
		add(traffic.Message{Lane: traffic.App, Kind: traffic.Note, From: "app", To: "app", Summary: "refused the server", Verdict: &traffic.Verdict{Check: "pins"}})
	}
	d := layOut(records, nil)
	if !d.Cut || len(d.Items) > mostRows {
		t.Fatalf("%d rows, cut: %v", len(d.Items), d.Cut)
	}
	if got := names(d.Parties); got != "app, attacker, network, resource" {
		t.Errorf("lifelines: %s", got)
	}
	if first := d.Items[0]; first.Lane != traffic.App || first.Kind != traffic.Request || first.X1 != d.x("app") || first.X2 != d.x("network") {
		t.Errorf("it begins with %+v", first)
	}
	piece, call, note := d.Items[1], d.Items[2], d.Items[3]
	if piece.More != 1 || piece.arrow() || piece.Label != "← server hello +1 more" {
		t.Errorf("the pieces are %+v", piece)
	}
	if call.X1 != d.x("network") || call.X2 != d.x("resource") || call.Badge.Y <= call.Y || call.Badge.Text != "✕ app-key" || !call.Attacker {
		t.Errorf("the call is %+v", call)
	}
	if note.arrow() || note.BoxX != d.x("app") {
		t.Errorf("the note is %+v", note)
	}
	for i := 1; i < len(d.Items); i++ {
		if d.Items[i].Y <= d.Items[i-1].Y || d.Items[i].Y > d.Height {
			t.Fatalf("row %d is at %d of %d, below one at %d", i, d.Items[i].Y, d.Height, d.Items[i-1].Y)
		}
	}
}

// Parties that nobody has thought of get lifelines, the servers after the network.
func TestLifelinesOfPartiesToCome(t *testing.T) {
	t.Parallel()
	var records []record
	for _, m := range []traffic.Message{
		{Lane: traffic.App, Kind: traffic.Request, From: "user agent", To: "authorization server"},
		{Lane: traffic.Server, Kind: traffic.Request, From: "network", To: "authorization server"},
		{Lane: traffic.App, Kind: traffic.Request, From: "app", To: "mediator"},
		{Lane: traffic.App, Kind: traffic.Request, From: "mediator", To: "authorization server"},
		{Lane: traffic.Server, Kind: traffic.Response, From: "resource", To: "network"},
		{Lane: traffic.Network, Kind: traffic.Request, From: "app", To: "attacker"},
	} {
		records = append(records, record{ID: uint64(len(records) + 1), Message: m})
	}
	d := layOut(records, nil)
	if got := names(d.Parties); got != "user agent, app, attacker, network, authorization server, mediator, resource" {
		t.Errorf("lifelines: %s", got)
	}
	for i, p := range d.Parties {
		if p.Attacker != (p.Name == "attacker") || i > 0 && p.X <= d.Parties[i-1].X {
			t.Errorf("lifeline: %+v", p)
		}
	}
	if last := d.Items[5]; last.X1 != d.x("network") || last.X2 != d.x("attacker") || !last.Attacker {
		t.Errorf("what the attacker reads: %+v", last)
	}
}

// All that comes of an attacker's call is the attacker's, and tied to the step.
func TestAttackersMessagesAndSteps(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	records := []record{
		{ID: 1, Message: traffic.Message{At: second(1), Lane: traffic.App, Exchange: "a", Kind: traffic.Request, From: "app", To: "resource"}},
		{ID: 2, Message: traffic.Message{At: second(3), Lane: traffic.App, Exchange: "b", Kind: traffic.Request, From: "attacker", To: "resource"}},
		{ID: 3, Message: traffic.Message{At: second(4), Lane: traffic.Server, Exchange: "b", Kind: traffic.Response, From: "resource", To: "network", Summary: "404 Not Found", Verdict: &traffic.Verdict{Allowed: true}}},
		{ID: 4, Message: traffic.Message{At: second(9), Lane: traffic.App, Exchange: "c", Kind: traffic.Request, From: "app", To: "resource"}},
	}
	d := layOut(records, []time.Time{second(0), second(2), second(5)})
	for i, want := range []diagramItem{{Step: 2}, {Step: 3, Attacker: true}, {Attacker: true}, {}} {
		if got := d.Items[i]; got.Step != want.Step || got.Attacker != want.Attacker {
			t.Errorf("message %d: step %d, the attacker's: %v", i, got.Step, got.Attacker)
		}
	}
	if got := d.Items[2].Badge.Text; got != "✓ guard passed, handler 404" {
		t.Errorf("the badge says %q", got)
	}
}

// What a server asks of another one leaves its own lifeline, and comes back to it.
func TestServerAsksServer(t *testing.T) {
	t.Parallel()
	var records []record
	for _, m := range []traffic.Message{
		{Lane: traffic.App, Kind: traffic.Request, From: "app", To: "mediator"},
		{Lane: traffic.Server, Kind: traffic.Request, From: "network", To: "mediator"},
		{Lane: traffic.Server, Kind: traffic.Request, From: "mediator", To: "network"},
		{Lane: traffic.Server, Kind: traffic.Request, From: "network", To: "auth"},
		{Lane: traffic.Server, Kind: traffic.Response, From: "auth", To: "network"},
		{Lane: traffic.Server, Kind: traffic.Response, From: "network", To: "mediator"},
		{Lane: traffic.Server, Kind: traffic.Response, From: "mediator", To: "network"},
	} {
		records = append(records, record{ID: uint64(len(records) + 1), Message: m})
	}
	d := layOut(records, nil)
	if got := names(d.Parties); got != "app, network, mediator, auth" {
		t.Errorf("lifelines: %s", got)
	}
	for i, item := range d.Items {
		if item.X1 != d.x(item.From) && i > 0 || item.X2 != d.x(item.To) && i > 0 || !item.arrow() {
			t.Errorf("message %d runs from %d to %d: %+v", i, item.X1, item.X2, item.record)
		}
	}
}
