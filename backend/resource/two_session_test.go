package resource_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/session"
)

// over makes a call of a phone at the server with that address, over TLS.
func (p *phone) over(t *testing.T, address string, who sender, method, path string, prepare func(http.Header)) *httptest.ResponseRecorder {
	t.Helper()
	call := who.site.callAs(who.app, who.user, who.stage.Slug, method, path, "")
	prepare(call.Header)
	outgoing := who.sign(call, p)
	r := testenv.Must[*http.Request](t)(http.NewRequest(method, "https://"+address+call.URL.Path, nil))
	r.Header = call.Header
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: who.site.roots, Certificates: []tls.Certificate{who.site.clients[who.app]},
	}}
	response := testenv.Must[*http.Response](t)(transport.RoundTrip(r))
	defer response.Body.Close()
	answer := httptest.NewRecorder()
	maps.Copy(answer.Header(), response.Header)
	answer.WriteHeader(response.StatusCode)
	testenv.Must[int64](t)(io.Copy(answer, response.Body))
	outgoing.receive(answer)
	return answer
}

// TestSessionAtOneOfTwoProcesses signs a user in at one of two servers. The other one, which
// has the same apps, devices and users, and the sessions from before it began, does not know
// this one. It is what tokens are for.
func TestSessionAtOneOfTwoProcesses(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	who := site.call(mobile, "user-session", http.MethodGet, "/v1/accounts", "").Context().Value(senderKey{}).(sender)
	p := site.phone(server, who)
	server.Close()
	p.now = time.Now
	first, _ := site.ownProcess(t)
	second, _ := site.ownProcess(t)

	accounts := func(address string) func() *httptest.ResponseRecorder {
		return func() *httptest.ResponseRecorder {
			return p.over(t, address, who, http.MethodGet, "/v1/accounts", func(h http.Header) { session.SetKey(h, p.key) })
		}
	}
	for _, address := range []string{first[0], second[0]} { // refuses what the server before it may have served
		for begun := time.Now(); accounts(address)().Code != http.StatusOK; time.Sleep(100 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatalf("the session from before is not served: %s", accounts(address)().Body)
			}
		}
	}

	signedIn := p.over(t, first[0], who, http.MethodPost, "/v1/session", func(h http.Header) {
		if err := session.SetBasic(h, who.user, password); err != nil {
			t.Fatal(err)
		}
	})
	var told struct {
		Key session.Key `json:"session_key"`
	}
	if err := json.Unmarshal(signedIn.Body.Bytes(), &told); err != nil || signedIn.Code != http.StatusCreated {
		t.Fatalf("%d %s, %v", signedIn.Code, signedIn.Body, err)
	}
	p.key = told.Key
	for _, test := range []struct {
		name, address, want string
	}{{"where she signed in", first[0], "200"}, {"the other", second[0], "401 session-not-accepted"}} {
		answer := accounts(test.address)()
		got := fmt.Sprint(answer.Code)
		if answer.Code != http.StatusOK {
			got += " " + kindOf(answer)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
