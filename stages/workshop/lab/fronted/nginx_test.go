package fronted

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

// nginx starts Debian's nginx with the configuration beside package gateway, with the lab's ports and a
// folder of the test's in it, and what change makes of it. It returns where it answers.
func (w *world) nginx(change func(string) string) (base string) {
	w.Helper()
	program, dir := testenv.Program(w, "nginx", "/usr/sbin/nginx"), w.TempDir()
	for name, from := range map[string]struct {
		role deployment.Role
		name string
	}{
		"server": {deployment.Resource, "server"}, "gateway": {deployment.Mediator, "manage"}, "terminator": {deployment.Attacker, "terminator"},
	} {
		for _, end := range []string{".pem", "-key.pem"} {
			if err := os.WriteFile(filepath.Join(dir, name+end), w.read(from.role, from.name+end), 0o600); err != nil {
				w.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "roots.pem"), w.Roots, 0o600); err != nil {
		w.Fatal(err)
	}
	free := testenv.FreePort(w)
	here := free.Addr().String()
	free.Close()
	port := func(name deployment.ServiceName) string {
		return "127.0.0.1:" + testenv.Must[*url.URL](w)(url.Parse(w.Addresses.URL(name))).Port()
	}
	text := string(testenv.Must[[]byte](w)(os.ReadFile("../../../../backend/gateway/nginx.conf")))
	text = strings.NewReplacer(
		"/var/lib/keyladder/nginx", dir, "127.0.0.1:8460", here,
		"127.0.0.1:8451", port(deployment.InsideAPI), "127.0.0.1:8452", port(deployment.TerminatedMediator),
	).Replace(text)
	if change != nil {
		text = change(text)
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		w.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(program, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", config, "-g", "daemon off;")
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	w.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // which ends its workers, too; it may have ended by itself
		<-ended
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if connection, err := net.Dial("tcp", here); err == nil {
			connection.Close()
			break
		}
		select {
		case err := <-ended:
			ended <- err
			said, _ := os.ReadFile(log.Name())
			w.Fatalf("nginx ends: %v\n%s", err, said)
		default:
		}
		if time.Now().After(end) {
			w.Fatal("nginx does not listen")
		}
	}
	_, port0, _ := net.SplitHostPort(here)
	return "https://localhost:" + port0
}

// TestNginx calls the API through Debian's nginx, which asks the mediator about each call.
func TestNginx(t *testing.T) {
	testenv.InSequence(t)
	w := start(t, map[string]string{"address_per_second": "0.5", "address_burst": "100"})
	base := w.nginx(nil)
	const pays = `{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR","reference":"REFERENCE"}`
	without := func(fields ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, field := range fields {
				r.Header.Del(field)
			}
		}
	}
	for _, test := range []struct {
		name, method, path, reference string
		change                        func(*http.Request)
		status                        int
		has                           string // in the body
	}{
		{"good", "GET", "/v1/accounts", "", nil, 200, "HB-1001"},
		{"good, with a query", "GET", "/v1/accounts?a=b", "", nil, 200, "HB-1001"},
		{"good, with a body", "POST", "/v1/transfers", "good", nil, 201, "HB-2001"},
		{"public data, and nobody", "GET", "/v1/rates", "", without("Authorization"), 200, "USD"},
		{"nobody", "GET", "/v1/accounts", "", without("Authorization"), 401, ""},
		{"no genuine app", "GET", "/v1/accounts", "", without(integrity.Field), 401, ""},
		{"an attestation that failed", "GET", "/v1/accounts", "", func(r *http.Request) { integrity.Set(r.Header, w.attested("phone", strings.Repeat("x", 32))) }, 401, ""},
		{"a token of nobody's making", "GET", "/v1/accounts", "", func(r *http.Request) { token.Set(r.Header, w.access("alice", "phone")+"A") }, 401, ""},
		{"tokens of two devices", "POST", "/v1/transfers", "mixed", func(r *http.Request) { token.Set(r.Header, w.access("alice", "another")) }, 401, ""},
		{"no app at all", "GET", "/v1/accounts", "", func(r *http.Request) { r.Header.Set("User-Agent", "curl/8") }, 403, ""},
		{"a right that the app lacks", "POST", "/v1/accounts/HB-2001/freeze", "", nil, 403, "scope"}, // which the API looks at
		{"an account of somebody else", "GET", "/v1/accounts/HB-2001", "", nil, 404, ""},
		{"nothing that there is", "GET", "/v1/unknown", "", nil, 403, ""},
		{"something else of the mediator's", "POST", "/token", "", nil, 404, ""},
		{"the question itself", "GET", "/check", "", nil, 404, ""},
		// The client names another call than the one that it makes, for which nobody need be signed in.
		{"asking about another call, as for nginx", "POST", "/v1/transfers", "other", func(r *http.Request) {
			without("Authorization")(r)
			r.Header.Set("X-Original-Method", "GET")
			r.Header.Set("X-Original-URI", "/"+slug+"/v1/rates")
		}, 401, ""},
		{"asking about another call, as for Caddy", "POST", "/v1/transfers", "other", func(r *http.Request) {
			without("Authorization")(r)
			r.Header.Set("X-Forwarded-Method", "GET")
			r.Header.Set("X-Forwarded-Uri", "/"+slug+"/v1/rates")
		}, 401, ""},
	} {
		body := ""
		if test.reference != "" {
			body = strings.Replace(pays, "REFERENCE", test.reference, 1)
		}
		r := w.call(base, test.method, test.path, body)
		if test.change != nil {
			test.change(r)
		}
		response, got := w.do(w.http, r)
		if response.StatusCode != test.status || !strings.Contains(got, test.has) {
			t.Errorf("%s: %d %s", test.name, response.StatusCode, got)
		}
		if test.status == 401 && response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without a challenge: %v", test.name, response.Header)
		}
		if test.reference != "" && w.booked(test.reference) != (test.status == 201) {
			t.Errorf("%s: it is not as it should be whether something is booked", test.name)
		}
	}

	// What a client says of itself does not get to the API, be it well made.
	r := w.call(base, "GET", "/v1/accounts", "")
	says := map[string]string{
		forwarded.Field: "eyJhbGciOiJub25lIn0.e30.", "Forwarded": "for=203.0.113.9", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "x.test",
		"X-Forwarded-Port": "1", "X-Forwarded-Proto": "http", "X-Forwarded-Method": "PUT", "X-Forwarded-Uri": "/x", "X-Original-Method": "PUT",
		"X-Original-Uri": "/x", "X-Real-Ip": "203.0.113.9", "Via": "1.1 x", "Cookie": "a=b",
	}
	for name, value := range says {
		r.Header.Set(name, value)
	}
	if response, got := w.do(w.http, r); response.StatusCode != 200 || !strings.Contains(got, "HB-1001") {
		t.Errorf("with fields of its own: %d %s", response.StatusCode, got)
	}
	head := w.arrived().Head
	for name, value := range says {
		if strings.Contains(head, ": "+value+"\n") || strings.HasSuffix(head, ": "+value) {
			t.Errorf("%s gets to the API:\n%s", name, head)
		}
	}
	for _, gone := range []string{"\nAuthorization:", "\n" + integrity.Field + ":", "\nCookie:"} {
		if strings.Contains(head, gone) {
			t.Errorf("%s gets to the API:\n%s", gone, head)
		}
	}
	if !strings.Contains(head, "\nX-Forwarded-For: 127.0.0.1") || strings.Count(head, "\n"+forwarded.Field+": ") != 1 {
		t.Errorf("the API is told:\n%s", head)
	}

	// Without nginx there is no way, and none around the mediator's answer.
	if response, _ := w.do(w.http, w.call(w.Addresses.URL(deployment.API), "GET", "/v1/accounts", "")); response.StatusCode != 403 {
		t.Errorf("at the API itself: %d", response.StatusCode)
	}
	open := w.nginx(func(text string) string {
		return regexp.MustCompile(`(?m)^ *(auth_request|proxy_set_header) .*(;)$`).ReplaceAllString(text, "")
	})
	r = w.call(open, "GET", "/v1/accounts", "")
	for name, value := range says {
		r.Header.Set(name, value)
	}
	if response, got := w.do(w.http, r); response.StatusCode != 403 || !strings.Contains(got, "gateway-only") {
		t.Errorf("through an nginx that asks nobody: %d %s", response.StatusCode, got)
	}
	if head := w.arrived().Head; !strings.Contains(head, "X-Real-Ip: 203.0.113.9") { // or the search above finds nothing
		t.Errorf("it takes fields away all the same:\n%s", head)
	}

	last := 0
	for range 120 {
		r := w.call(base, "GET", "/v1/rates", "")
		response, _ := w.do(w.http, r)
		if last = response.StatusCode; last != 200 {
			break
		}
	}
	if last != 429 {
		t.Errorf("past the limit of an address: %d", last)
	}
}
