package referee

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// What the attacker says counts for nothing: the books and the records decide.
func TestJudgement(t *testing.T) {
	t.Parallel()
	const alice, bob, mallory = catalog.AliceAccount, catalog.BobAccount, catalog.MalloryAccount
	for _, tt := range []struct {
		name          string
		stage, attack string // where the goal is to book a transfer, unless another attack is named
		attacked      func(w *world, brief manage.Brief) manage.Report
		want          catalog.Outcome
		check         catalog.Check
		reason        string // part of it
	}{
		{
			name: "the books have the transfer", want: catalog.Succeeds, reason: "booked a transfer",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.book(transfer(brief.Stage, brief.Reference, alice, mallory, 100))
				return manage.Report{Claim: true}
			},
		},
		{
			name: "the books have it, and the attacker denies it", want: catalog.Succeeds, reason: "booked a transfer",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.book(transfer(brief.Stage, brief.Reference, alice, mallory, 100))
				return manage.Report{Check: catalog.CheckTLS, Obstacle: "nothing could be read"}
			},
		},
		{
			name: "claimed, and the books know nothing", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(*world, manage.Brief) manage.Report { return manage.Report{Claim: true} },
		},
		{
			name: "claimed, and booked at another stage", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.book(transfer("hmac", brief.Reference, alice, mallory, 100))
				return manage.Report{Claim: true}
			},
		},
		{
			name: "claimed, and somebody else's transfer", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.book(transfer(brief.Stage, "another", alice, mallory, 100))
				return manage.Report{Claim: true}
			},
		},
		{
			name: "claimed, although a check refused it", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				w.take("one")
				w.refuse(traffic.Server, "one", catalog.CheckAppKey)
				return manage.Report{Claim: true}
			},
		},
		{
			name: "the server's record says what refused it", want: catalog.Blocked, check: catalog.CheckAppKey, reason: "because of app-key",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				w.take("one")
				w.refuse(traffic.Server, "one", catalog.CheckAppKey)
				return manage.Report{Obstacle: "the API answers 401"}
			},
		},
		{
			name: "the app's record says so", want: catalog.Blocked, check: catalog.CheckPins, reason: "because of pins",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				w.refuse(traffic.App, "one", catalog.CheckPins)
				return manage.Report{Obstacle: "the app does not connect"}
			},
		},
		{
			name: "the last refusal decides", want: catalog.Blocked, check: catalog.CheckScope, reason: "because of scope",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				for _, check := range []catalog.Check{catalog.CheckAppKey, catalog.CheckScope} {
					w.take(string(check))
					w.refuse(traffic.Server, string(check), check)
				}
				return manage.Report{}
			},
		},
		{
			name: "the one that the attacker names, if it is on record", want: catalog.Blocked, check: catalog.CheckAppKey, reason: "because of app-key",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				for _, check := range []catalog.Check{catalog.CheckAppKey, catalog.CheckScope} {
					w.take(string(check))
					w.refuse(traffic.Server, string(check), check)
				}
				return manage.Report{Check: catalog.CheckAppKey}
			},
		},
		{
			name: "the attacker names one that refused nothing", want: catalog.Inconclusive, check: catalog.CheckScope, reason: "nothing is on record",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				w.take("one")
				w.refuse(traffic.Server, "one", catalog.CheckAppKey)
				return manage.Report{Check: catalog.CheckScope}
			},
		},
		{
			name: "another client was refused meanwhile", want: catalog.Inconclusive, reason: "nothing is on record",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				w.take("one")
				w.refuse(traffic.Server, "of somebody else", catalog.CheckAppKey)
				return manage.Report{Obstacle: "it did not work"}
			},
		},
		{
			name: "it just did not work", want: catalog.Inconclusive, reason: "nothing is on record that blocked the attack, and yet it did not reach its goal: it did not work",
			attacked: func(*world, manage.Brief) manage.Report { return manage.Report{Obstacle: "it did not work"} },
		},
		{
			name: "nothing could be read, which no record can show", want: catalog.Blocked, check: catalog.CheckTLS, reason: "only TLS records",
			attacked: func(*world, manage.Brief) manage.Report {
				return manage.Report{Check: catalog.CheckTLS, Obstacle: "only TLS records"}
			},
		},
		{
			name: "it broke", want: catalog.Inconclusive, reason: "could not be carried out: no phone",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.book(transfer(brief.Stage, brief.Reference, alice, mallory, 100))
				return manage.Report{Error: "no phone", Claim: true}
			},
		},
		{
			name: "this system can't do it", want: catalog.Inconclusive, reason: "can't be carried out here: no ptrace",
			attacked: func(*world, manage.Brief) manage.Report { return manage.Report{Impossible: "no ptrace"} },
		},
		{
			name: "the right payee", attack: "proxy-tamper", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.book(transfer(brief.Stage, brief.VictimReference, alice, bob, 100))
				return manage.Report{Claim: true}
			},
		},
		{
			name: "data that only the app shows", stage: "pinned-mtls", attack: "repin", want: catalog.Succeeds, reason: "read the customer's data",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				return manage.Report{Data: "… " + w.booked[0].Reference + " …"} // of the app's run before
			},
		},
		{
			name: "data made up", stage: "pinned-mtls", attack: "repin", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(_ *world, brief manage.Brief) manage.Report {
				return manage.Report{Claim: true, Data: brief.Reference + brief.VictimReference + "ref-"}
			},
		},
		{
			name: "more than the limit, and the server counted it", attack: "flood", want: catalog.Succeeds, reason: "more calls were served",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.serve(brief.Stage, 100)
				return manage.Report{Served: 100, Allowed: 60}
			},
		},
		{
			name: "more than the limit, as the attacker says", attack: "flood", want: catalog.Inconclusive, reason: "the servers know nothing of it",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.serve(brief.Stage, 60)
				return manage.Report{Served: 100, Allowed: 60, Claim: true}
			},
		},
		{
			name: "many, as the limit allows", attack: "flood", want: catalog.Blocked, check: catalog.CheckAddressLimit, reason: "because of address-limit",
			attacked: func(w *world, brief manage.Brief) manage.Report {
				w.serve(brief.Stage, 60)
				w.take("one")
				w.refuse(traffic.Server, "one", catalog.CheckAddressLimit)
				return manage.Report{Served: 60, Allowed: 60}
			},
		},
		{
			name: "served at another stage", attack: "flood", want: catalog.Inconclusive, reason: "nothing is on record",
			attacked: func(w *world, _ manage.Brief) manage.Report {
				w.serve("hmac", 100)
				return manage.Report{Served: 100, Allowed: 60}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.attack == "" {
				tt.attack = "unknown-client"
			}
			if tt.stage == "" {
				tt.stage = "tls"
			}
			w := newWorld(t, nil, nil)
			w.take("before")
			w.refuse(traffic.Server, "before", catalog.CheckAppKey) // before the attack: it has nothing to do with it
			w.refuse(traffic.App, "before", catalog.CheckPins)
			w.attack = tt.attacked
			cell := w.referee.Attack(t.Context(), tt.stage, tt.attack)
			if cell.Outcome != string(tt.want) || cell.Check != tt.check || !strings.Contains(cell.Reason, tt.reason) {
				t.Errorf("%s by %q: %s; want %s by %q: %s", cell.Outcome, cell.Check, cell.Reason, tt.want, tt.check, tt.reason)
			}
			if cell.Outcome == string(catalog.Succeeds) && len(cell.Evidence) == 0 {
				t.Error("success without evidence")
			}
			if cell.Stage != tt.stage || cell.Attack != tt.attack || cell.Tries != 1 || cell.Evidence == nil || cell.Steps == nil {
				t.Errorf("%+v", cell)
			}
		})
	}
}

// An attack counts only between two runs of the genuine app in which the bank booked what
// the app ordered, once.
func TestGenuineAppAroundAnAttack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		app    func(w *world, run int, stage, reference string) manage.Run
		reason string
	}{
		{"refused before", func(_ *world, _ int, stage, _ string) manage.Run {
			return manage.Run{Stage: stage, Calls: []manage.Call{{What: "rates", Error: "the bank refuses"}}}
		}, "does not work before the attack: rates: the bank refuses"},
		{"refused after", func(w *world, run int, stage, reference string) manage.Run {
			if run > 1 {
				return manage.Run{Stage: stage, OK: true, Calls: []manage.Call{{What: "rates", Error: "the bank refuses"}}}
			}
			return works(w, run, stage, reference)
		}, "does not work after the attack: rates: the bank refuses"},
		{"did not run", func(w *world, run int, stage, reference string) manage.Run {
			works(w, run, stage, reference)
			return manage.Run{Stage: stage}
		}, "before the attack: the app did not run"},
		{"says that it paid, and nothing was booked", func(_ *world, _ int, stage, _ string) manage.Run {
			return manage.Run{Stage: stage, OK: true}
		}, "before the attack: the app's transfer was booked 0 times"},
		{"booked at another stage", func(w *world, run int, stage, reference string) manage.Run {
			works(w, run, "app-id", reference)
			return manage.Run{Stage: stage, OK: true}
		}, "before the attack: the app's transfer was booked 0 times"},
		{"booked twice after", func(w *world, run int, stage, reference string) manage.Run {
			if run > 1 {
				works(w, run, stage, reference)
			}
			return works(w, run, stage, reference)
		}, "after the attack: the app's transfer was booked 2 times"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			w.app = tt.app
			if strings.Contains(tt.reason, "after") { // else there is nothing to attack
				w.attack = func(w *world, brief manage.Brief) manage.Report {
					w.book(transfer(brief.Stage, brief.Reference, catalog.AliceAccount, catalog.MalloryAccount, 100))
					return manage.Report{Claim: true}
				}
			}
			cell := w.referee.Attack(t.Context(), "tls", "unknown-client")
			if cell.Outcome != string(catalog.Inconclusive) || !strings.Contains(cell.Reason, tt.reason) {
				t.Errorf("%s: %s; want %q", cell.Outcome, cell.Reason, tt.reason)
			}
			if Expected(catalog.All(), cell) == nil {
				t.Error("the matrix does not mind")
			}
		})
	}
}

// The calls beside the genuine app's have to be on record as refused by their check.
func TestGenuineAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		refuses catalog.Check // empty: nothing is on record
		want    string
	}{
		{"refused by its check", catalog.CheckDevice, ""},
		{"refused by another", catalog.CheckScope, "a call: refused by scope, not by device (because of scope)"},
		{"not on record", "", "a call: nothing about it is on record"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			w.refuse(traffic.Server, "one", catalog.CheckDevice) // somebody's, before
			w.app = func(w *world, run int, stage, reference string) manage.Run {
				ran := works(w, run, stage, reference)
				if tt.refuses != "" {
					w.refuse(traffic.Server, "two", tt.refuses)
				}
				ran.Calls = append(ran.Calls, manage.Call{What: "a call", Status: http.StatusForbidden, OK: true, Check: catalog.CheckDevice, Exchange: "two"})
				return ran
			}
			if genuine := w.referee.GenuineAlone(t.Context(), "tls"); genuine.Reason != tt.want || genuine.OK != (tt.want == "") {
				t.Errorf("%v, %q, want %q", genuine.OK, genuine.Reason, tt.want)
			}
			if genuine := w.referee.Genuine(t.Context(), "tls"); !genuine.OK { // which does not ask for them
				t.Errorf("%q", genuine.Reason)
			}
		})
	}
}

// Where there is nothing to attack, nobody is sent, and where nobody can be asked nothing
// is decided.
func TestNothingToJudge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	for _, tt := range []struct {
		stage, attack string
		want          catalog.Outcome
	}{
		{"no-such-stage", "wiretap", catalog.Inconclusive},
		{"tls", "no-such-attack", catalog.Inconclusive},
		{"signed-calls", "wiretap", catalog.NotBuilt},
		{"tls", "repin", catalog.NotApplicable},
	} {
		if cell := w.referee.Attack(t.Context(), tt.stage, tt.attack); cell.Outcome != string(tt.want) || cell.Tries != 0 {
			t.Errorf("%s at %s: %s, %d tries; want %s", tt.attack, tt.stage, cell.Outcome, cell.Tries, tt.want)
		}
	}
	if w.runs > 0 {
		t.Errorf("the app ran %d times", w.runs)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if cell := w.referee.Attack(ended, "tls", "wiretap"); cell.Outcome != string(catalog.Inconclusive) || cell.Tries != 1 {
		t.Errorf("nobody answers: %+v", cell)
	}
}

// A cell is as expected when the outcome is, and the check that blocks.
func TestExpected(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cell manage.Cell
		want string // part of what is said; empty: nothing
	}{
		{"succeeds", manage.Cell{Stage: "app-id", Attack: "wiretap", Expected: "succeeds", Outcome: "succeeds"}, ""},
		{"blocked by the right check", manage.Cell{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "blocked", Check: catalog.CheckTLS}, ""},
		{"blocked by another", manage.Cell{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "blocked", Check: catalog.CheckAppKey}, `expected to be blocked by "tls", got "app-key"`},
		{"blocked by nobody knows what", manage.Cell{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "blocked"}, `expected to be blocked by "tls", got ""`},
		{"blocked where it has to succeed", manage.Cell{Stage: "app-id", Attack: "wiretap", Expected: "succeeds", Outcome: "blocked", Check: catalog.CheckTLS}, `expected "succeeds", got "blocked"`},
		{"succeeds where it has to be blocked", manage.Cell{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "succeeds"}, `expected "blocked", got "succeeds"`},
		{"inconclusive", manage.Cell{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "inconclusive", Check: catalog.CheckTLS, Reason: "it broke"}, "it broke"},
		{"not built", manage.Cell{Stage: "hmac", Attack: "wiretap", Expected: "blocked", Outcome: "not built"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := Expected(catalog.All(), tt.cell); err != nil {
				got = err.Error()
			}
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// The matrix of one deployment has the genuine app once a stage and each cell once, and
// tells of those in which there was something to attack.
func TestMatrixOfOneDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	w.attack = func(w *world, brief manage.Brief) manage.Report {
		if brief.Stage == "app-id" {
			w.book(transfer(brief.Stage, brief.Reference, catalog.AliceAccount, catalog.MalloryAccount, 100))
		}
		return manage.Report{Check: catalog.CheckTLS, Obstacle: "only TLS records"}
	}
	var told []string
	matrix := w.referee.Matrix(t.Context(), []string{"app-id", "tls", "signed-calls"}, []string{"wiretap", "repin"}, func(done, total int, latest manage.Cell) {
		if total != 2 || done != len(told)+1 {
			t.Errorf("%d of %d", done, total)
		}
		told = append(told, latest.Stage)
	})
	var outcomes []string
	for _, cell := range matrix.Cells {
		outcomes = append(outcomes, cell.Outcome)
	}
	if got := strings.Join(outcomes, ", "); got != "succeeds, n/a, blocked, n/a, not built, not built" || strings.Join(told, ", ") != "app-id, tls" {
		t.Errorf("the outcomes are %s; told was of %q", got, told)
	}
	if len(matrix.Genuine) != 2 || !matrix.Genuine[0].OK || !matrix.Genuine[1].OK {
		t.Errorf("the genuine app: %+v", matrix.Genuine)
	}
	if retried := Retried(matrix.Cells); len(retried) > 0 {
		t.Errorf("tried again: %+v", retried)
	}
}

// An attack that shows nothing is tried once more, in the matrix of one deployment as well, and what it shows
// then counts.
func TestTwice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		broken int // tries that show nothing
		want   catalog.Outcome
		tries  int
	}{
		"it works at once":       {0, catalog.Blocked, 1},
		"at the second try":      {1, catalog.Blocked, 2},
		"it does not work twice": {2, catalog.Inconclusive, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			tries := 0
			w.attack = func(*world, manage.Brief) manage.Report {
				if tries++; tries <= test.broken {
					return manage.Report{Error: "it broke"}
				}
				return manage.Report{Check: catalog.CheckTLS, Obstacle: "only TLS records"}
			}
			cell := w.referee.Matrix(t.Context(), []string{"tls"}, []string{"wiretap"}, func(int, int, manage.Cell) {}).Cells[0]
			if cell.Outcome != string(test.want) || cell.Tries != test.tries || tries != test.tries {
				t.Errorf("%+v, after %d tries", cell, tries)
			}
			if noted := len(cell.Steps) > 0 && strings.Contains(cell.Steps[0], "it broke"); noted != (test.tries > 1) {
				t.Errorf("the steps are %q", cell.Steps)
			}
		})
	}
}
