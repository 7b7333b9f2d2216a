package resource_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
)

// second starts another server on the first one's data, with a database connection, memory and
// limits of its own, as a second process has them.
func (r *running) second(t *testing.T) *resource.Server {
	t.Helper()
	other := &running{site: r.site, log: &lines{}}
	other.serve(t, resource.Listeners{Manage: testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))}, nil)
	return other.server
}

// within waits up to a second until a call ends with the status.
func within(t *testing.T, what string, want int, call func() *httptest.ResponseRecorder) {
	t.Helper()
	testenv.Within(t, time.Second, fmt.Sprintf("%s: %d", what, want), func() bool { return call().Code == want })
}

// TestTwoServers run on one folder's data. What an admin changes through one, the other goes by
// within a second.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	first := start(t, nil)
	second := first.second(t)
	ctx := context.Background()
	rates := func(stage string) func() *httptest.ResponseRecorder {
		return func() *httptest.ResponseRecorder {
			return do(second, first.call(mobile, stage, http.MethodGet, "/v1/rates", ""))
		}
	}
	change := func(path string, in any) {
		t.Helper()
		if err := first.admin.Do(ctx, http.MethodPost, path, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the key, before", http.StatusOK, rates("app-id"))
	change("/keys/"+mobile+"/revoke", nil)
	within(t, "the key was revoked", http.StatusUnauthorized, rates("app-id"))
	change("/keys/"+mobile+"/restore", nil)
	within(t, "the key was restored", http.StatusOK, rates("app-id"))

	// A request that was signed before the second server began is refused there, so it takes
	// until the next second.
	signed := func() *httptest.ResponseRecorder {
		time.Sleep(20 * time.Millisecond)
		return rates("hmac")()
	}
	for begin := time.Now(); signed().Code != http.StatusOK && time.Since(begin) < 3*time.Second; {
	}
	within(t, "a signed call, before", http.StatusOK, signed)
	change("/keys/"+mobile+"/secret", nil)
	within(t, "with the old secret", http.StatusUnauthorized, signed)
	secret := testenv.Must[manage.Secret](t)(manage.Get[manage.Secret](ctx, first.admin, "/keys/"+mobile+"/secret"))
	first.secrets[mobile] = secret.Secret
	within(t, "with the new secret", http.StatusOK, signed)

	change("/reset", nil)
	within(t, "after a reset, with the new secret", http.StatusUnauthorized, signed)
}

// TestTwoProcesses are two programs on one folder's data: a key that is revoked through one is
// refused by the other, too.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	first, _ := site.ownProcess(t)
	second, _ := site.ownProcess(t)
	folder := testenv.Must[*deployment.Folder](t)(deployment.Open(site.dir, deployment.Admin))
	folder.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + first[2]}
	admin := testenv.Must[*manage.Client](t)(manage.NewClient(folder, deployment.Resource))
	rates := func() *httptest.ResponseRecorder {
		r := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, "http://"+second[1]+"/app-id/v1/rates", nil))
		identify(r, mobile)
		response := testenv.Must[*http.Response](t)(http.DefaultClient.Do(r))
		defer response.Body.Close()
		answer := httptest.NewRecorder()
		answer.WriteHeader(response.StatusCode)
		return answer
	}
	within(t, "the key, before", http.StatusOK, rates)
	for _, change := range []struct {
		path string
		want int
	}{{"revoke", http.StatusUnauthorized}, {"restore", http.StatusOK}} {
		if err := admin.Do(t.Context(), http.MethodPost, "/keys/"+mobile+"/"+change.path, nil, nil); err != nil {
			t.Fatal(err)
		}
		within(t, "after "+change.path+" through the first process", change.want, rates)
	}
}

// TestTwoServersDoNotShare shows what each server keeps for itself, so that it counts once for
// each of them: replayed requests, limits, sessions and devices.
func TestTwoServersDoNotShare(t *testing.T) {
	t.Parallel()
	first := start(t, nil)
	for _, stage := range []string{"hidden-secrets", "user-session"} { // registers alice's device, which the second will read
		do(first.server, first.call(mobile, stage, http.MethodGet, "/v1/rates", ""))
	}
	second := first.second(t)
	// The second refuses what was signed for a time that the first may have served, which has
	// written down some seconds more than have passed.
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		r := first.call(mobile, "hidden-secrets", http.MethodGet, "/v1/rates", "")
		prepare(first.server, r)
		answer := httptest.NewRecorder()
		if second.Handler().ServeHTTP(answer, r); answer.Code == http.StatusOK {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the second still refuses: %d %s", answer.Code, answer.Body)
		}
	}

	t.Run("nonces", func(t *testing.T) {
		r := first.call(mobile, "hidden-secrets", http.MethodGet, "/v1/rates", "")
		prepare(first.server, r)
		again := func(server *resource.Server) int {
			answer := httptest.NewRecorder()
			server.Handler().ServeHTTP(answer, r.Clone(r.Context()))
			return answer.Code
		}
		if a, b, c := again(first.server), again(first.server), again(second); a != http.StatusOK || b != http.StatusUnauthorized || c != http.StatusOK {
			t.Errorf("one request at the first server %d, once more %d, at the second %d", a, b, c)
		}
	})
	t.Run("limits", func(t *testing.T) {
		burst, perSecond := 1, 0.001
		change := manage.AppChange{Burst: &burst, PerSecond: &perSecond}
		if err := first.admin.Do(context.Background(), http.MethodPatch, "/apps/"+kiosk, change, nil); err != nil {
			t.Fatal(err)
		}
		call := func(server *resource.Server) *httptest.ResponseRecorder {
			return do(server, first.call(kiosk, "app-id", http.MethodGet, "/v1/rates", ""))
		}
		within(t, "the limit at the first", http.StatusTooManyRequests, func() *httptest.ResponseRecorder { return call(first.server) })
		if answer := call(second); answer.Code != http.StatusOK {
			t.Errorf("at the second, which has served nothing yet: %d", answer.Code)
		}
		within(t, "the limit at the second", http.StatusTooManyRequests, func() *httptest.ResponseRecorder { return call(second) })
	})
	refused := func(t *testing.T, user, stage, want string) {
		r := first.callAs(mobile, user, stage, http.MethodGet, "/v1/accounts", "")
		sent := prepare(first.server, r)
		answer := httptest.NewRecorder()
		second.Handler().ServeHTTP(answer, r)
		if sent.receive(answer); kindOf(answer) != want {
			t.Errorf("%d %s, want %s", answer.Code, kindOf(answer), want)
		}
	}
	t.Run("devices", func(t *testing.T) { refused(t, "bob", "hidden-secrets", "device-not-accepted") })
	t.Run("sessions", func(t *testing.T) {
		first.forget() // signs in anew, at the first
		refused(t, "alice", "user-session", "session-not-accepted")
	})
}
