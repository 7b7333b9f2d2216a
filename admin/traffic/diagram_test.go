package traffic

import (
	"testing"

	"keyladder/internal/traffic"
)

func TestDiagram(t *testing.T) {
	t.Parallel()
	var records []record
	add := func(m traffic.Message) { records = append(records, record{ID: uint64(len(records) + 1), Message: m}) }
	for range 20 {
		add(traffic.Message{Lane: traffic.App, Kind: traffic.Request, From: "app", To: "resource", Summary: "GET /tls/v1/rates"})
		add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, From: "resource", To: "app", Exchange: "c", Summary: "server hello"})
		add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, From: "resource", To: "app", Exchange: "c", Summary: "more"})
		add(traffic.Message{Lane: traffic.Server, Kind: traffic.Request, From: "attacker", To: "resource", Summary: "GET /tls/v1/rates", Verdict: &traffic.Verdict{Check: "app-key"}})
		add(traffic.Message{Lane: traffic.App, Kind: traffic.Note, From: "app", To: "app", Summary: "refused the server", Verdict: &traffic.Verdict{Check: "pins"}})
	}
	d := layOut(records, latestRows)
	if !d.Cut || len(d.Items) > latestRows {
		t.Fatalf("%d rows, cut: %v", len(d.Items), d.Cut)
	}
	if first := d.Items[0]; first.Lane != traffic.App || first.Kind != traffic.Request || first.X1 != appX || first.X2 != networkX {
		t.Errorf("it begins with %+v", first)
	}
	piece, call, note := d.Items[1], d.Items[2], d.Items[3]
	if piece.More != 1 || piece.arrow() || piece.Label != "← server hello +1 more" {
		t.Errorf("the pieces are %+v", piece)
	}
	if call.X1 != networkX || call.X2 != serverX || call.BadgeY <= call.Y || call.Label != "attacker: GET /tls/v1/rates" {
		t.Errorf("the call is %+v", call)
	}
	if note.arrow() || note.BoxX != appX {
		t.Errorf("the note is %+v", note)
	}
	for i := 1; i < len(d.Items); i++ {
		if d.Items[i].Y <= d.Items[i-1].Y || d.Items[i].Y > d.Height {
			t.Fatalf("row %d is at %d of %d, below one at %d", i, d.Items[i].Y, d.Height, d.Items[i-1].Y)
		}
	}
}
