package referee

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// world is a deployment of which there are the management APIs only: the bank's books and
// records, and a station that says that it did something.
type world struct {
	referee         *Referee
	server, station *traffic.Log

	mu     sync.Mutex
	booked []manage.Transfer
	usage  []manage.Usage
	runs   int // of the genuine app
	log    []string

	// app is the genuine app's run of that number, from 1 on; nil: it works.
	app func(w *world, run int, stage, reference string) manage.Run
	// attack is what happens, and what the attacker says of it; nil: there must be none.
	attack func(w *world, brief manage.Brief) manage.Report
}

// newWorld makes a world with these books.
func newWorld(t *testing.T, booked []manage.Transfer, usage []manage.Usage) *world {
	t.Helper()
	w := &world{booked: booked, usage: usage, server: traffic.New("resource", 100), station: traffic.New("attacker", 100)}
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	dir, addresses, listeners := t.TempDir(), map[deployment.ServiceName]string{}, map[deployment.Role]net.Listener{}
	servers := append(deployment.Servers(), deployment.Attacker)
	for _, role := range servers {
		if listeners[role], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		addresses[deployment.Manage(role)] = "https://" + listeners[role].Addr().String()
	}
	folders := map[deployment.Role]*deployment.Folder{}
	for _, role := range append(servers, deployment.Admin) {
		writer, err := deployment.NewWriter(dir, role, "test", time.Now(), deployment.Addresses{Public: addresses})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := ca.Peer(string(role), string(role))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(writer.Pair("manage", pair), writer.File("manage-ca.pem", ca.Certificate), writer.Close()); err != nil {
			t.Fatal(err)
		}
		if folders[role], err = deployment.Open(dir, role); err != nil {
			t.Fatal(err)
		}
	}
	bank := manage.NewServer(folders[deployment.Resource], w.server, nil)
	bank.For(deployment.Admin).GET("/transfers", w.getTransfers)
	bank.For(deployment.Admin).GET("/usage", w.getUsage)
	bank.For(deployment.Admin).GET("/accesslog", w.getAccessLog)
	station := manage.NewServer(folders[deployment.Attacker], w.station, nil)
	station.For(deployment.Admin).POST("/genuine", w.postGenuine)
	station.For(deployment.Admin).POST("/attack", w.postAttack)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for _, role := range servers {
		server := manage.NewServer(folders[role], traffic.New(string(role), 16), nil) // which decides nothing here
		switch role {
		case deployment.Resource:
			server = bank
		case deployment.Attacker:
			server = station
		}
		go func() { done <- server.Serve(ctx, listeners[role]) }()
	}
	t.Cleanup(func() {
		cancel()
		for range servers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	clients := map[deployment.Role]*manage.Client{}
	for role := range listeners {
		if clients[role], err = manage.NewClient(folders[deployment.Admin], role); err != nil {
			t.Fatal(err)
		}
	}
	w.referee = New(catalog.All().Unbuilt("signed-calls"), clients)
	return w
}

func (w *world) getTransfers(c echo.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(w.booked), func(b manage.Transfer) bool { return b.Reference != c.QueryParam("reference") })
	return c.JSON(http.StatusOK, append([]manage.Transfer{}, found...))
}

func (w *world) getUsage(c echo.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return c.JSON(http.StatusOK, w.usage)
}

func (w *world) getAccessLog(c echo.Context) error { return c.JSON(http.StatusOK, w.log) }

func (w *world) postGenuine(c echo.Context) error {
	var asked struct{ Stage, Reference string }
	if err := c.Bind(&asked); err != nil {
		return err
	}
	w.runs++
	app := w.app
	if app == nil {
		app = works
	}
	return c.JSON(http.StatusOK, app(w, w.runs, asked.Stage, asked.Reference))
}

func (w *world) postAttack(c echo.Context) error {
	var brief manage.Brief
	if err := c.Bind(&brief); err != nil {
		return err
	}
	if w.attack == nil {
		return errors.New("nothing was to be attacked")
	}
	return c.JSON(http.StatusOK, w.attack(w, brief))
}

// works is a run of the app in which its user pays somebody.
func works(w *world, _ int, stage, reference string) manage.Run {
	w.book(transfer(stage, reference, catalog.AliceAccount, catalog.BobAccount, 100))
	return manage.Run{Stage: stage, OK: true, Calls: []manage.Call{{What: "transfer", Status: http.StatusCreated, OK: true}}}
}

// book books a transfer.
func (w *world) book(b manage.Transfer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.booked = append(w.booked, b)
}

// serve counts calls to the route that the flood is after.
func (w *world) serve(stage string, calls int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.usage = append(w.usage, manage.Usage{Day: time.Now().UTC().Format(time.DateOnly), Stage: stage, Route: floodedRoute, Served: calls})
}

// take records that the station took part in an exchange.
func (w *world) take(exchange string) {
	w.station.Add(traffic.Message{Lane: traffic.App, Exchange: exchange, Kind: traffic.Request})
}

// refuse records that a check refused an exchange, in the lane of the server or the app.
func (w *world) refuse(lane traffic.Lane, exchange string, check catalog.Check) {
	log := w.server
	if lane == traffic.App {
		log = w.station
	}
	log.Add(traffic.Message{
		Lane: lane, Exchange: exchange, Kind: traffic.Response, To: "attacker",
		Verdict: &traffic.Verdict{Check: check, Reason: "because of " + string(check)},
	})
}

func transfer(stage, reference, from, to string, amount int64) manage.Transfer {
	return manage.Transfer{Stage: stage, Reference: reference, From: from, To: to, Amount: amount}
}
