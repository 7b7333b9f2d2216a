package authserver_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	mathrand "math/rand/v2"

	"keyladder/backend/guard"
	"keyladder/backend/mediator"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

// mediatorFolder is the variable that makes a mediator of the test's own program, on the deployment
// that it names.
const mediatorFolder = "KEYLADDER_TEST_MEDIATOR"

// mediate serves as the deployment's mediator, and tells where as soon as it knows the clients.
func mediate(ctx context.Context, dir string, set catalog.Set, ready func(base string)) error {
	folder, err := deployment.Open(dir, deployment.Mediator)
	if err != nil {
		return err
	}
	var l mediator.Listeners
	for _, listener := range []*net.Listener{&l.TLS, &l.Manage} {
		if *listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	folder.Addresses.Public[deployment.Manage(deployment.Mediator)] = "https://" + l.Manage.Addr().String()
	config := mediator.Config{Folder: folder, Stages: set, Logger: slog.New(slog.DiscardHandler)}.With(deployment.DefaultSettings)
	config.Address, config.Device = guard.Limit{PerSecond: 1e6, Burst: 1e6}, guard.Limit{PerSecond: 1e6, Burst: 1e6}
	server, err := mediator.New(config)
	if err != nil {
		return err
	}
	itself, err := manage.NewClient(folder, deployment.Mediator)
	if err != nil {
		return err
	}
	go func() {
		defer itself.Close()
		for itself.Healthy(ctx) != nil && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		ready("https://" + l.TLS.Addr().String())
	}()
	return server.Serve(ctx, l)
}

func serveMediator(dir string) error {
	return mediate(context.Background(), dir, stages(), func(base string) { fmt.Println(strings.TrimPrefix(base, "https://")) })
}

// mediator is one that runs beside the authorization server.
func (w *world) mediator(t testing.TB) (base string) {
	t.Helper()
	return w.mediatorAt(t, stages())
}

func (w *world) mediatorAt(t testing.TB, set catalog.Set) (base string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served, ready := make(chan error, 1), make(chan string, 1)
	go func() { served <- mediate(ctx, w.dir, set, func(base string) { ready <- base }) }()
	select {
	case base = <-ready:
	case err := <-served:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return base
}

// mediated is a request of an app that was attested, to a mediator.
func (p *program) mediated(base, endpoint string, form url.Values) *http.Request {
	p.t.Helper()
	return p.attested(mediated, base, endpoint, form)
}

func (p *program) attested(stage, base, endpoint string, form url.Values) *http.Request {
	p.t.Helper()
	r := testenv.Must[*http.Request](p.t)(http.NewRequest(http.MethodPost, base+"/"+stage+"/"+endpoint, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	now := time.Now()
	integrity.Set(r.Header, testenv.Must[string](p.t)(integrity.Sign(token.Key{ID: mobileServers, Secret: token.Secret(secrets[mobileServers])}, integrity.Claims{
		Issuer: "https://localhost:8445/" + stage, ClientID: mobile, Audience: []string{"https://localhost:8447/" + stage},
		Issued: now.Truncate(time.Second), Expires: now.Add(time.Minute).Truncate(time.Second), ID: token.NewID(), Release: 3, Device: p.id, Level: "package-hash",
	})))
	return r
}

// TestThroughMediator: an app without a secret gets its tokens, and gives them back. One that was not
// attested uses no code up.
func TestThroughMediator(t *testing.T) {
	t.Parallel()
	w := start(t)
	p, base := w.program(t, mobile), w.mediator(t)
	ask := func(endpoint string, form url.Values) said {
		return testenv.Must[said](t)(p.try(p.mediated(base, endpoint, form)))
	}
	text := w.code(t, mediated, "alice", mobile)
	unattested := p.mediated(base, "token", redemption(text, mobileURI))
	unattested.Header.Set(integrity.Field, "x.y.z")
	testenv.Must[said](t)(p.try(unattested)).refused(t, "not attested", 401, "invalid_client")

	first := ask("token", redemption(text, mobileURI))
	if first.Status != http.StatusOK || first.Refresh == "" || !w.good(mediated, first.Token) {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	next := ask("token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}})
	if next.Status != http.StatusOK || next.Refresh == "" {
		t.Fatalf("%d %s", next.Status, next.Body)
	}
	if given := ask("revoke", url.Values{"token": {next.Refresh}}); given.Status != http.StatusOK || given.Body != "" || w.good(mediated, next.Token) {
		t.Errorf("revoked: %d %s, still good: %v", given.Status, given.Body, w.good(mediated, next.Token))
	}
	ask("token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.Refresh}}).refused(t, "revoked", 400, "invalid_grant")
	ask("token", redemption(text, mobileURI)).refused(t, "the code once more", 400, "invalid_grant")
	w.stop()
	ask("token", redemption(text, mobileURI)).refused(t, "without the authorization server", 503, "temporarily_unavailable")
}

// TestKilledMediator kills mediators again and again while apps refresh their tokens through them. No
// app loses its session: what got lost is asked for again through the next one.
func TestKilledMediator(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	w := start(t)
	var apps []*app
	for range 8 {
		p := w.program(t, mobile)
		first := p.as(mediated, "token", mobileServers, secrets[mobileServers], redemption(w.code(t, mediated, "alice", mobile), mobileURI))
		apps = append(apps, &app{program: p, token: first.Refresh, renewal: func(token string) *http.Request {
			return p.mediated("https://localhost", "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
		}})
	}
	for range kills {
		base, kill := w.process(t, mediatorFolder)
		first := make(chan struct{})
		answered := sync.OnceFunc(func() { close(first) })
		var wg sync.WaitGroup
		for _, a := range apps {
			wg.Go(func() {
				defer answered()
				for {
					ok, err := a.renew(base)
					if err != nil {
						t.Error(err)
					}
					if !ok {
						return
					}
					answered()
				}
			})
		}
		<-first
		time.Sleep(time.Duration(mathrand.IntN(30_000)) * time.Microsecond) // the moment of death
		kill()
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	base, received, lost, repeated := w.mediator(t), 0, 0, 0
	for _, a := range apps {
		for range 2 { // the answer that is missing, and one more: the last token is good
			if ok, err := a.renew(base); !ok {
				t.Fatalf("the last token is not good: %v", err)
			}
		}
		received, lost, repeated = received+len(a.old)+1, lost+a.lost, repeated+a.repeated
	}
	t.Logf("%d kills, %d tokens, %d answers lost, %d asked for again", kills, received, lost, repeated)
	if received < kills || repeated < kills/2 {
		t.Error("that shows nothing")
	}
}

// BenchmarkMediator is what the mediator adds to a request for tokens: compare "direct", where servers
// ask with their secret, with "mediated".
func BenchmarkMediator(b *testing.B) {
	w := start(b)
	base := w.mediator(b)
	p := w.program(b, mobile)
	ways := map[string]func(form url.Values) *http.Request{
		"direct": func(form url.Values) *http.Request {
			r := testenv.Must[*http.Request](b)(http.NewRequest(http.MethodPost, w.issuer(mediated)+"/token", strings.NewReader(form.Encode())))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(url.QueryEscape(mobileServers), url.QueryEscape(secrets[mobileServers]))
			return r
		},
		"mediated": func(form url.Values) *http.Request { return p.mediated(base, "token", form) },
	}
	code := func() url.Values { return redemption(w.code(b, mediated, "alice", mobile), mobileURI) }
	for _, way := range []string{"direct", "mediated"} {
		b.Run("exchange/"+way, func(b *testing.B) {
			requests := make([]*http.Request, b.N)
			for i := range requests {
				requests[i] = ways[way](code())
			}
			b.ResetTimer()
			for _, r := range requests {
				if got := testenv.Must[said](b)(p.try(r)); got.Status != http.StatusOK {
					b.Fatal(got.Body)
				}
			}
		})
		b.Run("refresh/"+way, func(b *testing.B) {
			last := testenv.Must[said](b)(p.try(ways[way](code()))).Refresh
			b.ResetTimer()
			for range b.N {
				got := testenv.Must[said](b)(p.try(ways[way](url.Values{"grant_type": {"refresh_token"}, "refresh_token": {last}})))
				if last = got.Refresh; last == "" {
					b.Fatal(got.Body)
				}
			}
		})
	}
}
