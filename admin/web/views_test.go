package web

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/traffic"
)

func TestNarratives(t *testing.T) {
	t.Parallel()
	n, err := renderNarrative("# Title\n\n## What *is* new\n\nText with <script>alert(1)</script> and `code`.\n\n### A part {#the-part}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```console\n$ curl <x>\n```\n\n[bad](javascript:alert(1))\n\n## The code\n\n```go\nfunc f() {}\n```\n")
	must(t, err)
	for _, want := range []string{`<h2 id="what-is-new">`, `href="#what-is-new"`, `<h3 id="the-part">`, "<table>", `<pre tabindex="0"><code class="language-console">`, "curl &lt;x&gt;"} {
		if !strings.Contains(n.HTML, want) {
			t.Errorf("%q is missing in %s", want, n.HTML)
		}
	}
	if !strings.Contains(n.Code, "func f() {}") || strings.Contains(n.HTML, "func f() {}") {
		t.Error("the code is not apart")
	}
	for _, bad := range []string{"<h1", "<script", "javascript:"} {
		if strings.Contains(n.HTML, bad) {
			t.Errorf("%q is in %s", bad, n.HTML)
		}
	}
	if len(n.Headings) != 2 || n.Headings[0] != (heading{ID: "what-is-new", Text: "What is new"}) {
		t.Errorf("headings: %+v", n.Headings)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body     string
		size     int
		how      string
		contains string
		cut      bool
	}{
		"JSON":          {`{"a":[1,2]}`, 11, "JSON", "  \"a\": [", false},
		"broken JSON":   {`{"a":`, 5, "text", `{"a":`, false},
		"text":          {"from=1&to=2", 11, "text", "from=1", false},
		"bytes":         {"\x00\x01\xff", 3, "bytes", "00 01 ff", false},
		"terminal tips": {"\x1b[31mred", 8, "bytes", "1b 5b", false},
		"cut":           {"abc", 4000, "text", "abc", true},
		"long bytes":    {strings.Repeat("\x00", dumpBytes+1), dumpBytes + 1, "bytes", "00 00", true},
	} {
		v := viewBody([]byte(test.body), test.size)
		if v.How != test.how || v.Cut != test.cut || !strings.Contains(v.Text, test.contains) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestTokensAreFound(t *testing.T) {
	t.Parallel()
	const header, claims = "eyJhbGciOiJub25lIn0", "eyJzdWIiOiJib2IifQ"
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"one":              {"Authorization: Bearer " + header + "." + claims + ".c2ln", 1},
		"without a MAC":    {header + "." + claims + ".", 1},
		"twice the same":   {header + "." + claims + ".x " + header + "." + claims + ".x", 1},
		"two":              {header + "." + claims + ".x " + header + "." + claims + ".y", 2},
		"in JSON":          {`{"access_token":"` + header + "." + claims + `.c2ln"}`, 1},
		"not base64":       {"eyJh.bGci.x", 0},
		"no JSON":          {"eyJ4eHh4eHh4.eHh4eHh4eHg.x", 0},
		"in another word":  {"x" + header + "." + claims + ".c2ln", 0},
		"too many of them": {strings.Repeat(" "+header+"."+claims+".a"+" "+header+"."+claims+".b", 50), 2},
	} {
		if got := findTokens(test.text); len(got) != test.want {
			t.Errorf("%s: %d tokens", name, len(got))
		}
	}
}

func FuzzFindTokens(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln")
	f.Add("eyJ.eyJ.eyJ.eyJ")
	f.Fuzz(func(t *testing.T, text string) {
		for _, view := range findTokens(text) {
			if !json.Valid([]byte(view.Header)) || !json.Valid([]byte(view.Claims)) {
				t.Errorf("%q is no JSON", view)
			}
		}
	})
}

func TestDiagram(t *testing.T) {
	t.Parallel()
	var records []record
	add := func(m traffic.Message) { records = append(records, record{uint64(len(records) + 1), m}) }
	for range 20 {
		add(traffic.Message{Lane: traffic.App, Kind: traffic.Request, From: "app", To: "resource", Summary: "GET /tls/v1/rates"})
		add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, From: "resource", To: "app", Exchange: "c", Summary: "server hello"})
		add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, From: "resource", To: "app", Exchange: "c", Summary: "more"})
		add(traffic.Message{Lane: traffic.Server, Kind: traffic.Request, From: "attacker", To: "resource", Summary: "GET /tls/v1/rates", Verdict: &traffic.Verdict{Check: "app-key"}})
		add(traffic.Message{Lane: traffic.App, Kind: traffic.Note, From: "app", To: "app", Summary: "refused the server", Verdict: &traffic.Verdict{Check: "pins"}})
	}
	d := layOut(records, stageRows)
	if !d.Cut || len(d.Items) > stageRows {
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

func TestChart(t *testing.T) {
	t.Parallel()
	today := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
	c := drawChart("harbour-mobile", []manage.Usage{
		{Day: "2026-11-21", App: "harbour-mobile", Served: 300, Refused: 1},
		{Day: "2026-11-21", App: "harbour-mobile", Served: 100},
		{Day: "2026-11-21", App: "harbour-ops", Served: 1000},
		{Day: "2026-11-08", App: "harbour-mobile", Served: 5},
		{Day: "2026-11-01", App: "harbour-mobile", Served: 7},
	}, today)
	last := c.Days[chartDays-1]
	if c.Top != 500 || c.Served != 405 || c.Refused != 1 || last.Day != "2026-11-21" || last.Served != 400 {
		t.Errorf("chart: %+v", c)
	}
	if last.RefusedY >= last.ServedY || last.RefusedY < chartTop || c.Days[0].ServedY >= chartFloor || c.Days[1].ServedY != chartFloor {
		t.Errorf("bars: %+v", c.Days)
	}
	if last.X+last.Width > chartWidth {
		t.Errorf("the last bar ends at %d", last.X+last.Width)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for want, at := range map[string]time.Time{
		"just now": now, "5 s ago": now.Add(-5 * time.Second), "3 min ago": now.Add(-200 * time.Second),
		"2 h ago": now.Add(-2 * time.Hour), "2026-11-19": now.Add(-48 * time.Hour),
	} {
		if got := ago(now, at); got != want {
			t.Errorf("ago: %q, want %q", got, want)
		}
	}
	for want, n := range map[string]int64{"0": 0, "999": 999, "1,000": 1000, "-1,234,567": -1234567} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q", n, got)
		}
	}
	if got := cut("naïve", 5); len(got) > 5 || !strings.HasPrefix("naïve", strings.TrimSuffix(got, "…")) {
		t.Errorf("cut: %q", got)
	}
}
