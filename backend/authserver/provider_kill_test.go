package authserver_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyladder/backend/authserver"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

const (
	issuing   = "extended-mediator" // the mediator issues the app's tokens, and the server is its provider
	asClient  = "mediator"          // the mediator, as the provider's client
	publicURL = "https://localhost:8447/" + issuing
)

// issuingStages are the stages with that one, whose gateway has tests of its own.
func issuingStages() catalog.Set {
	set := stages()
	for i := range set {
		if set[i].Slug == issuing {
			set[i].Built, set[i].Policies.Call.Gateway = true, catalog.Direct
		}
	}
	return set
}

// providerFolder is the variable that makes a provider of the test's own program, on the deployment
// that it names.
const providerFolder = "KEYLADDER_TEST_PROVIDER"

// shortLifetime is that of its access tokens. They say in whole seconds when they were made: of one second,
// some would have expired at once.
const shortLifetime = 2 * time.Second

func serveProvider(dir string) error {
	folder, err := deployment.Open(dir, deployment.Auth)
	if err != nil {
		return err
	}
	config := authserver.Config{Folder: folder, Stages: issuingStages(), Logger: slog.New(slog.DiscardHandler)}.With(deployment.DefaultSettings)
	config.Address, config.ShortLifetime = guard.Limit{PerSecond: 1e6, Burst: 1e6}, shortLifetime
	server, err := authserver.New(config)
	if err != nil {
		return err
	}
	var l authserver.Listeners
	for _, listener := range []*net.Listener{&l.TLS, &l.Manage} {
		if *listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	fmt.Println(l.TLS.Addr(), l.Manage.Addr())
	return server.Serve(context.Background(), l)
}

// door takes connections at an address that stays, to where a process listens now.
type door struct{ to atomic.Value }

func newDoor(t *testing.T, l net.Listener) *door {
	t.Helper()
	d := &door{}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go d.pass(near)
		}
	}()
	return d
}

func (d *door) pass(near net.Conn) {
	defer near.Close()
	to, _ := d.to.Load().(string)
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	go func() {
		defer near.Close()
		_, _ = io.Copy(near, far) // until the process ends
	}()
	_, _ = io.Copy(far, near)
	far.Close()
}

// killed is a mediator whose provider is killed, and an app that signs a user in.
type killed struct {
	*testing.T
	w    *world
	p    *program
	base string // the mediator's
	run  func() // starts the provider
	kill func()
}

func startKilled(t *testing.T) *killed {
	t.Helper()
	known := map[string]string{asClient: "the secret of the mediator"}
	maps.Copy(known, secrets)
	itself := manage.App{ID: asClient, Name: "The mediator", UserAgent: "HarbourMediator/", Scopes: all, RedirectURIs: []string{publicURL + "/callback/bank"}, PerSecond: 1e6, Burst: 1e6}
	w := deploy(t, map[string]any{
		"auth/clients.json": append([]manage.App{itself}, clientsOf...), "auth/secrets.json": known,
		"mediator/providers.json": []manage.Provider{{
			Name: "bank", Title: "The bank", Issuer: "{auth}/{stage}", AuthorizationURL: "{auth}/{stage}/authorize", TokenURL: "{auth}/{stage}/token", RevocationURL: "{auth}/{stage}/revoke",
			ClientID: asClient, Secret: known[asClient], ClientAuth: manage.SecretBasic, PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs,
			User: manage.UserInToken, UserClaim: "sub", SameNames: true, Enabled: true,
		}},
	})
	k := &killed{T: t, w: w}
	public, inside := newDoor(t, w.listen.TLS), newDoor(t, w.listen.Manage)
	k.run = func() {
		said, kill := testenv.Process(t, providerFolder, w.dir)
		public.to.Store(said[0])
		inside.to.Store(said[1])
		k.kill = kill
	}
	k.run()
	k.p, k.base = w.program(t, mobile), w.mediatorAt(t, issuingStages())
	return k
}

// signIn signs alice in. Before each step something may happen; a refresh token that is empty says
// that this sign-in got lost.
func (k *killed) signIn(before func(step int)) (refreshToken string) {
	k.Helper()
	b, verifier := k.w.browser(k), pkce.NewVerifier()
	step := 0
	next := func() {
		before(step)
		step++
		b.http.CloseIdleConnections() // they may lead to one that is dead
	}
	next()
	pushed := testenv.Must[said](k)(k.p.try(k.p.attested(issuing, k.base, "par", url.Values{
		"response_type": {"code"}, "client_id": {mobile}, "redirect_uri": {mobileURI}, "scope": {"accounts:read"}, "state": {"s"},
		pkce.FieldChallenge: {pkce.Challenge(pkce.S256, verifier)}, pkce.FieldMethod: {pkce.S256},
	})))
	var reference struct {
		URI string `json:"request_uri"`
	}
	if err := json.Unmarshal([]byte(pushed.Body), &reference); err != nil || reference.URI == "" {
		k.Fatalf("pushing: %d %s", pushed.Status, pushed.Body)
	}
	next()
	begun := b.do(testenv.Must[*http.Request](k)(http.NewRequest(http.MethodGet, k.base+"/"+issuing+"/authorize?"+url.Values{"client_id": {mobile}, "request_uri": {reference.URI}}.Encode(), nil)))
	path, at := strings.CutPrefix(begun.Header.Get("Location"), k.w.base)
	if !at {
		k.Fatalf("the mediator leads to %s\n%s", begun.Header.Get("Location"), begun.body)
	}
	next()
	page := b.get(path)
	next()
	page = b.signIn(page, "alice")
	if page.StatusCode != http.StatusSeeOther {
		return ""
	}
	next()
	if strings.HasPrefix(page.Header.Get("Location"), "/") {
		page = b.follow(page)
		next()
		page = b.press(page, "decision", "allow")
	}
	path, at = strings.CutPrefix(page.Header.Get("Location"), "https://localhost:8447")
	if !at {
		return ""
	}
	next()
	came := b.do(testenv.Must[*http.Request](k)(http.NewRequest(http.MethodGet, k.base+path, nil)))
	answer := testenv.Must[*url.URL](k)(url.Parse(came.Header.Get("Location"))).Query()
	if code := answer.Get("code"); code != "" {
		next()
		form := redemption(code, mobileURI)
		form.Set("client_id", mobile)
		form.Set(pkce.FieldVerifier, verifier)
		got := testenv.Must[said](k)(k.p.try(k.p.attested(issuing, k.base, "token", form)))
		if got.Status != http.StatusOK {
			k.Fatalf("the code is refused: %d %s", got.Status, got.Body)
		}
		return got.Refresh
	}
	if answer.Get("error") != "temporarily_unavailable" {
		k.Fatalf("the sign-in leads to %s", came.Header.Get("Location"))
	}
	return ""
}

// renew refreshes until there is an answer. The family must not be lost.
func (k *killed) renew(token string) (next string) {
	k.Helper()
	key := rand.Text()
	testenv.Within(k, time.Minute, "the family lives", func() bool {
		r := k.p.attested(issuing, k.base, "token", url.Values{"grant_type": {"refresh_token"}, "client_id": {mobile}, "refresh_token": {token}})
		r.Header.Set("Idempotency-Key", `"`+key+`"`)
		got := testenv.Must[said](k)(k.p.try(r))
		if got.Status != http.StatusOK && got.Status != http.StatusServiceUnavailable {
			k.Fatalf("the family got lost: %d %s", got.Status, got.Body)
		}
		next = got.Refresh
		return got.Status == http.StatusOK
	})
	return next
}

// TestKilledProvider kills the mediator's provider between any two steps of a sign-in, and while it is
// asked for tokens. At worst that sign-in is lost; the next one is good, and families live on.
func TestKilledProvider(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	k := startKilled(t)
	nothing := func(int) {}
	first := k.signIn(nothing)
	if first == "" {
		t.Fatal("nobody can sign in")
	}
	steps := 0
	k.signIn(func(int) { steps++ })
	lost, asked := 0, 0
	for at := range steps {
		if k.signIn(func(step int) {
			if step == at {
				k.kill()
				k.run()
			}
		}) == "" {
			lost++
		}
	}
	for range 20 { // while it is asked to renew
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(shortLifetime + 50*time.Millisecond))) // its access token has expired
		dead := make(chan struct{})
		go func() {
			defer close(dead)
			time.Sleep(time.Duration(mathrand.IntN(20_000)) * time.Microsecond) // the moment of death
			k.kill()
		}()
		r := k.p.attested(issuing, k.base, "token", url.Values{"grant_type": {"refresh_token"}, "client_id": {mobile}, "refresh_token": {first}})
		key := rand.Text()
		r.Header.Set("Idempotency-Key", `"`+key+`"`)
		got := testenv.Must[said](t)(k.p.try(r))
		<-dead
		k.run()
		switch got.Status {
		case http.StatusOK:
			first = got.Refresh
		case http.StatusServiceUnavailable:
			asked++
			first = k.renew(first)
		default:
			t.Fatalf("the family got lost: %d %s", got.Status, got.Body)
		}
	}
	if k.signIn(nothing) == "" || k.renew(first) == "" {
		t.Error("nobody can sign in any more")
	}
	t.Logf("%d steps, %d sign-ins lost, %d times no answer to a refresh", steps, lost, asked)
	if lost > steps/2 || asked == 0 {
		t.Error("that shows nothing")
	}
}
