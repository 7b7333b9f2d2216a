package exposure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
	"keyladder/stages/workshop/lab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := lab.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A protection that is switched off is missed: the loot is worth more than before.
func TestMeasureMissesWhatIsOff(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	for _, tt := range []struct {
		stage, theft string
		on, off      string
		change       func(*catalog.Policies)
	}{
		{"hidden-secrets", "replay", "0", "1 min", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }},
		{"hidden-secrets", exposure.HeldCall, "1 in 1 min", "1 min", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }},
		{"user-session", "backup-restore", "0", "12 h", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }},
		{"password-grant", "backup-theft", "0", "1 h", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInStorage }},
		{"pkce-plain", "code-relay", "0", "30 d", func(p *catalog.Policies) { p.Call.PKCE, p.Auth.PKCE = catalog.NoPKCE, catalog.NoPKCE }},
	} {
		t.Run(tt.stage+"/"+tt.theft, func(t *testing.T) {
			t.Parallel()
			worth := func(stages catalog.Set) string {
				cell, err := Cell(t.Context(), stages, tt.stage, tt.theft)
				if err != nil {
					t.Error(err)
				}
				return cell.Short()
			}
			if on, off := worth(catalog.All()), worth(catalog.All().With(tt.stage, tt.change)); on != tt.on || off != tt.off {
				t.Errorf("it is worth %q, and %q without the protection, want %q and %q", on, off, tt.on, tt.off)
			}
		})
	}
}

// loot is good for so many calls a piece, until a time.
type loot struct {
	m      *measurement
	pieces int
	calls  int           // of each piece; 0: any number
	until  time.Duration // 0: for ever
	breaks time.Duration // when it can't be used, for another reason
}

func (l loot) uses() (uses []attack.Use) {
	for range l.pieces {
		made := 0
		uses = append(uses, func(context.Context) error {
			switch {
			case l.breaks != 0 && l.m.ahead >= l.breaks:
				return errors.New("the line is cut")
			case l.until != 0 && l.m.ahead >= l.until, l.calls != 0 && made == l.calls:
				return &attack.Refusal{Obstacle: "no"}
			}
			made++
			return nil
		})
	}
	return uses
}

func TestSpend(t *testing.T) {
	t.Parallel()
	d := deployment.DefaultSettings
	for _, tt := range []struct {
		name  string
		loot  loot
		short string
		err   string
	}{
		{name: "for ever", loot: loot{pieces: 1}, short: "∞"},
		{name: "a token", loot: loot{pieces: 1, until: d.TokenLifetime - 2*time.Second}, short: "1 h"},
		{name: "a family", loot: loot{pieces: 1, until: d.RefreshLifetime}, short: "30 d"},
		{name: "one call a piece", loot: loot{pieces: 12, calls: 1, until: 15 * time.Second}, short: "1 in 15 s"},
		{name: "two", loot: loot{pieces: 12, calls: 2, until: time.Minute}, short: "2 in 1 min"},
		{name: "too few pieces", loot: loot{pieces: 2, calls: 1, until: d.TokenLifetime}, err: "not enough loot"},
		{name: "used up", loot: loot{pieces: 1, calls: 1}, err: "nothing is left"},
		{name: "of no use", loot: loot{pieces: 3, until: -1}, err: "for 0 calls after it"},
		{name: "it ends with no lifetime", loot: loot{pieces: 1, until: 5 * time.Second}, err: "no lifetime ends in between"},
		{name: "it breaks", loot: loot{pieces: 1, breaks: time.Minute}, err: "the line is cut"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &measurement{}
			tt.loot.m = m
			err := m.spend(t.Context(), tt.loot.uses())
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || m.cell.Short() != tt.short {
				t.Errorf("%q, %v, want %q", m.cell.Short(), err, tt.short)
			}
		})
	}
}

// Between two calls at most one lifetime ends, and each has a call well before its end and one after. While
// something is kept in use it is never idle for as long as it may be.
func TestSchedule(t *testing.T) {
	t.Parallel()
	const margin = 0.9
	last := time.Duration(0)
	for _, at := range schedule() {
		var ended []time.Duration
		for _, life := range lifetimes() {
			if last < life && life <= at {
				ended = append(ended, life)
			}
		}
		if len(ended) > 1 || len(ended) == 1 && float64(last) > margin*float64(ended[0]) {
			t.Errorf("between %s and %s these end: %v", last, at, ended)
		}
		last = at
	}
	if longest := lifetimes()[len(lifetimes())-1]; last <= longest {
		t.Errorf("it ends at %s, before the longest lifetime", last)
	}
	idle := map[string]time.Duration{}
	for name, text := range settings() {
		var err error
		if idle[name], err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	d := deployment.DefaultSettings
	for name, life := range map[string]time.Duration{"session_idle": d.SessionLifetime, "refresh_idle": d.RefreshLifetime} {
		last := time.Duration(0)
		for _, at := range schedule() {
			if at < life && float64(at-last) > 0.95*float64(idle[name]) {
				t.Errorf("%s: nothing is done from %s until %s", name, last, at)
			}
			last = at
		}
	}
}

// What the matrix has seen blocked is not stolen again.
func TestKnown(t *testing.T) {
	t.Parallel()
	told := 0
	table, err := Measure(t.Context(), Options{
		Stages: catalog.All(), Slugs: []string{"tls"}, Thefts: []string{"wiretap"},
		Known:    manage.Matrix{Cells: []manage.Cell{{Stage: "tls", Attack: "wiretap", Outcome: string(catalog.Blocked), Check: "of the matrix"}}},
		Progress: func(done, total int, _ exposure.Cell) { told = total*10 + done },
	})
	if err != nil || len(table) != 1 || table[0].Calls != 0 || table[0].Check != "of the matrix" || told != 11 {
		t.Errorf("%+v, %v, told %d", table, err, told)
	}
}
