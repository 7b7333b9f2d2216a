package resource_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// serverFolder is the variable that makes a server of the test's own program, on the folder
// that it names, so that a test can kill it.
const serverFolder = "KEYLADDER_TEST_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverFolder); dir != "" {
		fmt.Fprintln(os.Stderr, serveFolder(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveFolder(dir string) error {
	folder, err := deployment.Open(dir, deployment.Resource)
	if err != nil {
		return err
	}
	var l resource.Listeners
	for service, listener := range map[deployment.ServiceName]*net.Listener{
		deployment.API: &l.TLS, deployment.PlainAPI: &l.Plain, deployment.Manage(deployment.Resource): &l.Manage,
	} {
		if *listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		what, err := deployment.ServiceNamed(service)
		if err != nil {
			return err
		}
		folder.Addresses.Set(what, (*listener).Addr().String())
	}
	server, err := resource.New(resource.Config{Folder: folder, Stages: catalog.All(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println(l.TLS.Addr(), l.Plain.Addr(), l.Manage.Addr())
	return server.Serve(context.Background(), l)
}

// process starts a server on the site's folder, and returns its address over TLS and how it
// is killed.
func (s *site) process(t *testing.T) (address string, kill func()) {
	t.Helper()
	addresses, kill := s.ownProcess(t)
	return addresses[0], kill
}

// ownProcess starts a server, and returns its addresses over TLS, over HTTP and for management.
func (s *site) ownProcess(t *testing.T) (addresses []string, kill func()) {
	t.Helper()
	if addresses, kill = testenv.Process(t, serverFolder, s.dir); len(addresses) != 3 {
		t.Fatalf("the server says %q", addresses)
	}
	return addresses, kill
}

// TestKilledServer sends a transfer that a fast clock has signed, kills the server at once, and
// sends the same bytes to the next one.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	const stage = "hidden-secrets"
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	call := site.call(mobile, stage, http.MethodPost, "/v1/transfers", "")
	who := call.Context().Value(senderKey{}).(sender)
	p := site.phone(server, who)
	server.Close()
	for _, ahead := range []time.Duration{0, 50 * time.Second} {
		reference := fmt.Sprintf("signed %v ahead", ahead)
		who.body = order("100", reference)
		begun := time.Now()
		var body []byte
		send := func(address string) int {
			r := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodPost, "https://"+address+call.URL.Path, bytes.NewReader(body)))
			r.Header = call.Header.Clone()
			client := site.clients[mobile]
			transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: site.roots, Certificates: []tls.Certificate{client}}}
			answer := testenv.Must[*http.Response](t)(transport.RoundTrip(r))
			answer.Body.Close()
			return answer.StatusCode
		}
		address, kill := site.process(t)
		for { // the servers before this one may have served what is signed for the next seconds
			p.now = func() time.Time { return time.Now().Add(ahead) }
			who.sign(call, p)
			body = testenv.Must[[]byte](t)(io.ReadAll(call.Body))
			status := send(address)
			if status == http.StatusCreated {
				break
			}
			if time.Since(begun) > time.Minute {
				t.Fatalf("%s: %d", reference, status)
			}
			time.Sleep(100 * time.Millisecond)
		}
		kill()
		address, kill = site.process(t)
		if status := send(address); status != http.StatusUnauthorized {
			t.Errorf("%s: the same bytes after the server was killed: %d", reference, status)
		}
		kill()
		again := newServer(t, site, nil)
		history := httptest.NewRecorder()
		again.Handler().ServeHTTP(history, site.call(mobile, "app-id", http.MethodGet, "/v1/accounts/HB-1001/transfers", ""))
		if booked := strings.Count(history.Body.String(), reference); booked != 1 {
			t.Errorf("%s: booked %d times: %s", reference, booked, history.Body)
		}
		again.Close()
	}
}
