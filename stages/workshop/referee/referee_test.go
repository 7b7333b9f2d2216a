package referee

import (
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// That a call was refused is believed when the server's record says so, and says that it
// was by the check that is meant for it.
func TestRefusalsAreOnRecord(t *testing.T) {
	t.Parallel()
	record := func(exchange string, allowed bool, check catalog.Check) traffic.Message {
		return traffic.Message{Exchange: exchange, Verdict: &traffic.Verdict{Allowed: allowed, Check: check, Reason: "because"}}
	}
	call := manage.Call{What: "a call", OK: true, Check: "device", Exchange: "one"}
	for _, tt := range []struct {
		name     string
		recorded []traffic.Message
		want     string
	}{
		{"refused by it", []traffic.Message{{Exchange: "one"}, record("one", false, "device")}, ""},
		{"no record", []traffic.Message{record("two", false, "device")}, "a call: nothing about it is on record"},
		{"no verdict", []traffic.Message{{Exchange: "one"}}, "a call: nothing about it is on record"},
		{"let through", []traffic.Message{record("one", true, "device")}, "a call: no check refused it"},
		{"refused by another", []traffic.Message{record("one", false, "scope")}, "a call: refused by scope, not by device (because)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := unrefused(tt.recorded, []manage.Call{{What: "rates", OK: true}, call}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
