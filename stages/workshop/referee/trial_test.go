package referee

import (
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// A goal is reached when the ledger says so, for the stage that is attacked, and whatever
// the attacker claims.
func TestGoalIsReadFromTheLedger(t *testing.T) {
	t.Parallel()
	const here, weaker = "pinned-mtls", "app-id"
	const alice, bob, mallory = catalog.AliceAccount, catalog.BobAccount, catalog.MalloryAccount
	for name, tt := range map[string]struct {
		goal   catalog.Goal
		booked []manage.Transfer
		want   bool
	}{
		"booked":                       {catalog.BookTransfer, []manage.Transfer{transfer(here, "own", alice, mallory, 1)}, true},
		"nothing booked":               {catalog.BookTransfer, nil, false},
		"booked by somebody else":      {catalog.BookTransfer, []manage.Transfer{transfer(here, "other", alice, mallory, 1)}, false},
		"booked at a weaker stage":     {catalog.BookTransfer, []manage.Transfer{transfer(weaker, "own", alice, mallory, 1)}, false},
		"robbed":                       {catalog.RobVictim, []manage.Transfer{transfer(here, "own", alice, mallory, 1)}, true},
		"robbed nobody":                {catalog.RobVictim, []manage.Transfer{transfer(here, "own", mallory, bob, 1)}, false},
		"robbed at a weaker stage":     {catalog.RobVictim, []manage.Transfer{transfer(weaker, "own", alice, mallory, 1)}, false},
		"above the limit":              {catalog.PassAppLimit, []manage.Transfer{transfer(here, "own", alice, bob, catalog.TransferCap+1)}, true},
		"at the limit":                 {catalog.PassAppLimit, []manage.Transfer{transfer(here, "own", alice, bob, catalog.TransferCap)}, false},
		"another payee":                {catalog.ChangePayee, []manage.Transfer{transfer(here, "victim", alice, mallory, 1)}, true},
		"the right payee":              {catalog.ChangePayee, []manage.Transfer{transfer(here, "victim", alice, bob, 1)}, false},
		"paid twice":                   {catalog.RepeatPayment, []manage.Transfer{transfer(here, "victim", alice, bob, 1), transfer(here, "victim", alice, bob, 1)}, true},
		"paid once":                    {catalog.RepeatPayment, []manage.Transfer{transfer(here, "victim", alice, bob, 1)}, false},
		"once here, once at a weaker":  {catalog.RepeatPayment, []manage.Transfer{transfer(here, "victim", alice, bob, 1), transfer(weaker, "victim", alice, bob, 1)}, false},
		"read what only the app shows": {catalog.ReadData, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage, _ := catalog.All().Lookup(here)
			judge := &trial{
				Referee: newWorld(t, tt.booked, nil).referee,
				stage:   stage, attack: catalog.Attack{Goal: tt.goal}, canary: "canary",
				brief: manage.Brief{Reference: "own", VictimReference: "victim"},
			}
			evidence, reached, err := judge.goal(t.Context(), manage.Report{Claim: true, Data: "own victim"})
			if err != nil || reached != tt.want {
				t.Errorf("reached: %v, %v, want %v; evidence: %q", reached, err, tt.want, evidence)
			}
		})
	}
}

// Calls are counted from the day on which the trial began, also past midnight.
func TestServedCallsPastMidnight(t *testing.T) {
	t.Parallel()
	stage, _ := catalog.All().Lookup("tls")
	used := func(day string, served int64) manage.Usage {
		return manage.Usage{Day: day, Stage: stage.Slug, Route: floodedRoute, Served: served}
	}
	judge := &trial{
		Referee: newWorld(t, nil, []manage.Usage{used("2026-03-02", 4), used("2026-03-01", 100), used("2026-02-28", 1000)}).referee,
		stage:   stage, since: "2026-03-01",
	}
	if served, err := judge.servedCalls(t.Context()); err != nil || served != 104 {
		t.Errorf("%d served calls, %v, want 104", served, err)
	}
}
