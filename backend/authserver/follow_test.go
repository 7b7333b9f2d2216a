package authserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/backend/authserver"
	"keyladder/backend/guard"
	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// api is a resource server that runs beside the authorization server.
type api struct {
	*world
	base   string
	http   *http.Client
	manage *manage.Client
}

func (w *world) api(t *testing.T) *api {
	t.Helper()
	folder := w.folder(t, deployment.Resource)
	config := resource.Config{Folder: folder, Stages: stages(), Logger: slog.New(slog.DiscardHandler), Now: w.now}.With(deployment.DefaultSettings)
	config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6}
	server := testenv.Must[*resource.Server](t)(resource.New(config))
	l := resource.Listeners{TLS: listener(t), Manage: listener(t)}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			t.Error(err)
		}
	})
	admin := *w.folder(t, deployment.Admin)
	admin.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + l.Manage.Addr().String()}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &api{
		w, "https://" + l.TLS.Addr().String(), &http.Client{Transport: transport}, testenv.Must[*manage.Client](t)(manage.NewClient(&admin, deployment.Resource)),
	}
}

// accounts is the status of a call with an access token of the implicit grant.
func (a *api) accounts(t *testing.T, client, text string) int {
	t.Helper()
	stage, _ := stages().Lookup(implicit)
	r := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, a.base+"/"+implicit+"/v1/accounts", nil))
	appkey.Set(r.Header, stage.Call.AppProofField(), client)
	token.Set(r.Header, text)
	r.Header.Set("User-Agent", "Web/1.0")
	response := testenv.Must[*http.Response](t)(a.http.Do(r))
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// TestResourceServersFollow: what the authorization server issues is good at two resource servers,
// and what it revokes is refused within a second. While it can't be asked, they say so, go on with
// what they have, and catch up.
func TestResourceServersFollow(t *testing.T) {
	t.Parallel()
	w := start(t)
	servers := []*api{w.api(t), w.api(t)}
	issue := func() string {
		return w.browser(t).allow(implicit, "alice", ask(implicit, web)).answer(t).Get("access_token")
	}
	text := issue()
	status := func(want int) func() bool {
		return func() bool {
			return servers[0].accounts(t, web, text) == want && servers[1].accounts(t, web, text) == want
		}
	}
	testenv.Within(t, 10*time.Second, "both servers know clients and keys", status(http.StatusOK))
	if answer := w.program(t, web).post(implicit, "revoke", map[string][]string{"token": {text}}); answer.Status != http.StatusOK {
		t.Fatal(answer.Body)
	}
	testenv.Within(t, time.Second, "a token was revoked", status(http.StatusUnauthorized))

	text = issue()
	testenv.Within(t, time.Second, "another token", status(http.StatusOK))
	healthy := func(s *api) bool { return s.manage.Healthy(t.Context()) == nil }
	testenv.Within(t, 10*time.Second, "healthy", func() bool { return healthy(servers[0]) && healthy(servers[1]) })
	w.stop()
	testenv.Within(t, 40*time.Second, "health says that the authorization server is gone", func() bool {
		err := servers[0].manage.Healthy(t.Context())
		return err != nil && strings.Contains(err.Error(), "authorization server") && !healthy(servers[1])
	})
	if !status(http.StatusOK)() {
		t.Error("they do not go on with what they have")
	}
	// It is revoked before anybody can ask.
	server := testenv.Must[*authserver.Server](t)(authserver.New(w.config(t)))
	if n, err := server.Tokens().RevokeSelected(t.Context(), manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if !status(http.StatusOK)() {
		t.Error("they know what nobody told them")
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	l := authserver.Listeners{TLS: again(t, w.listen.TLS), Manage: again(t, w.listen.Manage)}
	go func() { served <- server.Serve(ctx, l) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			t.Error(err)
		}
	}))
	testenv.Within(t, 30*time.Second, "they have caught up", status(http.StatusUnauthorized))
	testenv.Within(t, 30*time.Second, "healthy again", func() bool { return healthy(servers[0]) && healthy(servers[1]) })
}

func again(t *testing.T, old net.Listener) net.Listener {
	t.Helper()
	return testenv.Must[net.Listener](t)(net.Listen("tcp", old.Addr().String()))
}

// TestRotatedSecretReachesTheAPI: calls are signed with the client secret, and the new one is good
// at the API within a second.
func TestRotatedSecretReachesTheAPI(t *testing.T) {
	t.Parallel()
	w := start(t)
	server := w.api(t)
	stage, _ := stages().Lookup(code)
	status := func(secret string) int {
		caller := testenv.Must[*protect.Caller](t)(protect.New(stage.Call, protect.API{Stage: code, TLS: "https://localhost:8443"}, protect.Identity{UserAgent: "Web/1.0", ClientID: web, Secret: secret}))
		dressed, err := caller.Dress(protect.Call{Path: "/v1/rates", Public: true})
		if err != nil {
			t.Fatal(err)
		}
		r, err := dressed.HTTP(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.URL.Host = "localhost:8443", strings.TrimPrefix(server.base, "https://")
		response := testenv.Must[*http.Response](t)(server.http.Do(r))
		response.Body.Close()
		return response.StatusCode
	}
	testenv.Within(t, 20*time.Second, "the first secret", func() bool { return status(secrets[web]) == http.StatusOK })
	made, err := w.server.Clients().RotateSecret(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Within(t, time.Second, "the new secret", func() bool { return status(made.Secret) == http.StatusOK })
	if status("wrong") != http.StatusUnauthorized {
		t.Error("any secret will do")
	}
	if status(secrets[web]) != http.StatusOK {
		t.Error("the old secret is not good in the overlap")
	}
}
