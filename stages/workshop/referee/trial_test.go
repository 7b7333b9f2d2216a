package referee

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
)

// resource is a resource server of which there is the management API only, with these
// transfers and this usage.
func resource(t *testing.T, booked []manage.Transfer, usage []manage.Usage) *manage.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	folder := func(role deployment.Role) *deployment.Folder {
		w, err := deployment.NewWriter(dir, role, "test", time.Now(), deployment.Addresses{
			Public: map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + listener.Addr().String()},
		})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := ca.Peer(string(role), string(role))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Pair("manage", pair), w.File("manage-ca.pem", ca.Certificate), w.Close()); err != nil {
			t.Fatal(err)
		}
		found, err := deployment.Open(dir, role)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	server := manage.NewServer(folder(deployment.Resource), nil, nil)
	server.GET("/transfers", func(c echo.Context) error {
		found := []manage.Transfer{}
		for _, b := range booked {
			if b.Reference == c.QueryParam("reference") {
				found = append(found, b)
			}
		}
		return c.JSON(http.StatusOK, found)
	})
	server.GET("/usage", func(c echo.Context) error { return c.JSON(http.StatusOK, usage) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client, err := manage.NewClient(folder(deployment.Admin), deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func transfer(stage, reference, from, to string, amount int64) manage.Transfer {
	return manage.Transfer{Stage: stage, Reference: reference, From: from, To: to, Amount: amount}
}

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
				Referee: New(catalog.All(), resource(t, tt.booked, nil), nil),
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
		Referee: New(catalog.All(), resource(t, nil, []manage.Usage{used("2026-03-02", 4), used("2026-03-01", 100), used("2026-02-28", 1000)}), nil),
		stage:   stage, since: "2026-03-01",
	}
	if served, err := judge.servedCalls(t.Context()); err != nil || served != 104 {
		t.Errorf("%d served calls, %v, want 104", served, err)
	}
}
