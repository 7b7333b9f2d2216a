package exposure

import (
	"strings"
	"testing"

	"keyladder/stages/catalog"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cell         Cell
		short, words string
	}{
		{Cell{Check: "tls"}, "0", "no call: refused by tls"},
		{Cell{Calls: 1, Seconds: 15, Check: "dpop"}, "1 in 15 s", "one call within 15 seconds, then refused by dpop"},
		{Cell{Calls: 2, Seconds: 90, Check: "dpop"}, "2 in 90 s", "2 calls within 1 minute 30 seconds, then refused by dpop"},
		{Cell{Calls: Any, Seconds: 60, Check: "integrity-token"}, "1 min", "any number of calls within 1 minute, then refused by integrity-token"},
		{Cell{Calls: Any, Seconds: 12 * 3600, Check: "session"}, "12 h", "any number of calls within 12 hours, then refused by session"},
		{Cell{Calls: Any, Seconds: 30 * 24 * 3600, Check: "refresh-token"}, "30 d", "any number of calls within 30 days, then refused by refresh-token"},
		{Cell{Calls: Any}, "∞", "any number of calls, until it is taken back"},
	} {
		if short, words := tt.cell.Short(), tt.cell.Words(); short != tt.short || words != tt.words {
			t.Errorf("%+v: %q, %q", tt.cell, short, words)
		}
	}
}

// What was measured is about thefts and stages that there are, where there is something to steal. Where every call is signed by the device's key, none buys more than one.
func TestMeasured(t *testing.T) {
	t.Parallel()
	table := Measured()
	if len(table) == 0 {
		t.Error("nothing was measured")
	}
	for _, cell := range table {
		theft, ok := LookupTheft(cell.Theft)
		stage, known := catalog.All().Lookup(cell.Stage)
		if !ok || !known || !theft.Applies(stage) {
			t.Errorf("there is nothing to steal: %+v", cell)
		}
		if stage.Call.Sender == catalog.SignedMessages && cell.Calls != 0 && cell.Calls != 1 {
			t.Errorf("%s at %s: %s", cell.Theft, cell.Stage, cell.Words())
		}
	}
}

// A table that is not as the catalog expects of the attacks says which of its cells are not.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cell Cell
		want string
	}{
		{Cell{Stage: "tls", Theft: "wiretap", Check: "tls"}, ""},
		{Cell{Stage: "tls", Theft: "wiretap", Check: "app-key"}, "refused by app-key"},
		{Cell{Stage: "tls", Theft: "wiretap", Calls: 1, Seconds: 60}, "one call"},
		{Cell{Stage: "tls", Theft: "replay", Calls: Any}, ""},
		{Cell{Stage: "tls", Theft: "replay", Check: "tls"}, "no call"},
		{Cell{Stage: "tls", Theft: HeldCall, Calls: Any}, ""},
	} {
		err := Table{tt.cell}.Check(catalog.All())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.cell, err, tt.want)
		}
	}
}

// Each theft has a position, and each attack that is one is in the catalog.
func TestThefts(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, theft := range Thefts() {
		if theft.Position == "" || theft.Loot == "" || seen[theft.Name] {
			t.Errorf("%+v", theft)
		}
		seen[theft.Name] = true
	}
	if !seen[HeldCall] {
		t.Error("no call is held back")
	}
}
