package lab_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/route"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// gate is the way to a server. Closed, it is to a client as if the server had been stopped.
type gate struct {
	at, to string // host:port

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // the port stays ours, open or closed
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{at: listener.Addr().String(), to: to, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		listener.Close()
		g.stop()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go g.carry(client)
		}
	}()
	return g
}

// start opens the gate.
func (g *gate) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}

func (g *gate) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.open[client], g.open[server] = true, true
	g.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, client) // until either end is closed
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// stop closes the gate, and all that is under way.
func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for conn := range g.open {
		conn.Close()
	}
	clear(g.open)
}

// TestServersThatStop: where one of the servers that give an app tokens is stopped, its calls go on
// with what it has. When that has expired the app says what is wrong, and when the server runs again
// the app goes on by itself.
func TestServersThatStop(t *testing.T) {
	t.Parallel()
	settings := testbank.ManyCalls()
	settings["integrity_lifetime"], settings["token_lifetime_short"] = "8s", "8s"
	l := start(t, lab.Options{Settings: settings, Phones: true})
	var people person.People
	(&bank{Lab: l}).json(t, deployment.Phone, "passwords.json", &people)
	for _, stage := range attestedStages() {
		issuer, named := deployment.AuthServer, "that the authorization server runs"
		if stage.Call.ClientAuth.Attested() {
			issuer, named = deployment.MediatorService, "that the mediator runs"
		}
		for service, says := range map[deployment.ServiceName]string{deployment.AttestationService: "attestation service", issuer: named} {
			t.Run(stage.Slug+"/"+string(service), func(t *testing.T) {
				t.Parallel()
				address, err := url.Parse(l.Addresses.URL(service))
				if err != nil {
					t.Fatal(err)
				}
				way := newGate(t, "127.0.0.1:"+address.Port())
				phone := newDeviceWithRoutes(t, l, stage.Package.Release, route.Table{address.Host: way.at})
				app, err := phone.Launch(t.Context(), "com.harbourbank.app", stage.Slug)
				if err != nil {
					t.Fatal(err)
				}
				accounts := func() (ok bool, failure string) {
					screen, err := app.Accounts(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					return screen.OK, screen.Error
				}
				screen, err := people.Named("alice").SignIn(t.Context(), phone, app)
				if err != nil || !screen.OK {
					t.Fatal(screen, err)
				}
				if ok, failure := accounts(); !ok {
					t.Fatal(failure)
				}
				way.stop()
				atGateway := service == deployment.MediatorService && stage.Call.Gateway == catalog.ThroughGateway
				if ok, failure := accounts(); !ok && !atGateway {
					t.Errorf("the app has good tokens, and says %q", failure)
				}
				var failure string
				waitFor(t, "its tokens have expired", func() (ok bool) {
					ok, failure = accounts()
					return !ok
				})
				if !strings.Contains(failure, says) {
					t.Errorf("the app says %q, and nothing of %q", failure, says)
				}
				way.start()
				waitFor(t, "the app goes on", func() bool {
					ok, _ := accounts()
					return ok
				})
			})
		}
	}
}
