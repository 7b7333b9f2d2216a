package resource_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

const users6 = "user-session"

// signIn signs in anew, with a password.
func signIn(server *resource.Server, s *site, app, user, password string) *httptest.ResponseRecorder {
	return signInOn(server, s, user, app, user, password)
}

// signInOn signs in on somebody's phone, whose owner has done so before.
func signInOn(server *resource.Server, s *site, owner, app, user, password string) *httptest.ResponseRecorder {
	r := s.callAs(app, owner, users6, http.MethodPost, "/v1/session", "")
	who := r.Context().Value(senderKey{}).(sender)
	p := s.phone(server, who)
	if err := session.SetBasic(r.Header, user, password); err != nil {
		panic(err)
	}
	sent := who.sign(r, p)
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, r)
	sent.receive(answer)
	return answer
}

// with makes a call with a session key.
func with(server *resource.Server, s *site, app, user string, key session.Key, method, path string) int {
	r := s.callAs(app, user, users6, method, path, "")
	who := r.Context().Value(senderKey{}).(sender)
	p := s.phone(server, who)
	session.SetKey(r.Header, key)
	sent := who.sign(r, p)
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, r)
	sent.receive(answer)
	return answer.Code
}

type opened struct {
	Key         session.Key `json:"session_key"`
	User        string      `json:"user"`
	IdleSeconds int         `json:"idle_seconds"`
	ExpiresAt   time.Time   `json:"expires_at"`
}

func keyOf(t *testing.T, answer *httptest.ResponseRecorder) opened {
	t.Helper()
	var told opened
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil || answer.Code != http.StatusCreated {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return told
}

// TestSessionOfAUser goes from the sign-in to the sign-out, and to the end by itself.
func TestSessionOfAUser(t *testing.T) {
	t.Parallel()
	clock := &patient{now: time.Now()}
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, func(c *resource.Config) {
		c.Now = clock.Now
		c.Sessions = session.Lifetimes{Idle: 10 * time.Second, Absolute: 25 * time.Second}
	})
	first, second := keyOf(t, signIn(server, site, mobile, "alice", password)), keyOf(t, signIn(server, site, mobile, "alice", password))
	if first.Key == second.Key || first.User != "alice" || first.IdleSeconds != 10 || !first.ExpiresAt.Equal(clock.Now().Add(25*time.Second)) {
		t.Errorf("%+v", first)
	}
	if _, err := session.ParseKey(string(first.Key)); err != nil {
		t.Error(err)
	}
	use := func(key session.Key) int { return with(server, site, mobile, "alice", key, "GET", "/v1/accounts") }
	if a, b := use(first.Key), use(second.Key); a != 200 || b != 200 {
		t.Errorf("both are good: %d, %d", a, b)
	}
	if status := with(server, site, mobile, "alice", first.Key, "DELETE", "/v1/session"); status != 204 {
		t.Errorf("sign-out: %d", status)
	}
	if a, b := use(first.Key), use(second.Key); a != 401 || b != 200 {
		t.Errorf("after the sign-out of the first: %d, %d", a, b)
	}
	if status := with(server, site, mobile, "alice", first.Key, "DELETE", "/v1/session"); status != 401 {
		t.Errorf("sign-out once more: %d", status)
	}
	for range 9 {
		clock.wait()
	}
	if status := use(second.Key); status != 200 {
		t.Errorf("used in time: %d", status)
	}
	for range 10 {
		clock.wait()
	}
	if status := use(second.Key); status != 401 {
		t.Errorf("idle: %d", status)
	}
	third := keyOf(t, signIn(server, site, mobile, "alice", password))
	for range 24 {
		clock.wait()
		if status := use(third.Key); status != 200 {
			t.Fatalf("busy: %d", status)
		}
	}
	if clock.wait(); use(third.Key) != 401 {
		t.Error("older than the absolute lifetime")
	}
}

// TestUsersOwnAccounts: what others have is not there, and can't be used.
func TestUsersOwnAccounts(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	for _, test := range []struct {
		app, user, method, path, body string
		want                          int
	}{
		{mobile, "bob", "GET", "/v1/accounts/HB-2001", "", 200},
		{mobile, "bob", "GET", "/v1/accounts/HB-1001", "", 404},
		{mobile, "bob", "GET", "/v1/accounts/HB-1001/transfers", "", 404},
		{mobile, "bob", "GET", "/v1/accounts/HB-0", "", 404},
		{mobile, "bob", "POST", "/v1/transfers", order("1", ""), 403},                                        // from alice's
		{mobile, "bob", "POST", "/v1/transfers", strings.Replace(order("1", ""), "HB-1001", "HB-0", 1), 403}, // from nobody's
		{mobile, "alice", "POST", "/v1/transfers", order("1", ""), 201},
		{mobile, "carol", "GET", "/v1/accounts/HB-1001", "", 404}, // a customer, with this app
		{mobile, "carol", "POST", "/v1/transfers", order("1", ""), 403},
		{mobile, "carol", "POST", "/v1/accounts/HB-1001/freeze", `{"frozen":true}`, 403},
		{ops, "carol", "GET", "/v1/accounts/HB-1001", "", 200},
		{ops, "carol", "POST", "/v1/accounts/HB-1001/freeze", `{"frozen":false}`, 200},
		{ops, "alice", "GET", "/v1/accounts/HB-2001", "", 404}, // a customer, with the staff's app
		{ops, "alice", "POST", "/v1/accounts/HB-1001/freeze", `{"frozen":true}`, 403},
		{kiosk, "alice", "POST", "/v1/transfers", order("1", ""), 403},
	} {
		if answer := do(server, site.callAs(test.app, test.user, users6, test.method, test.path, test.body)); answer.Code != test.want {
			t.Errorf("%s with %s: %s %s: %d %s, want %d", test.user, test.app, test.method, test.path, answer.Code, answer.Body, test.want)
		}
	}
	// What the ledger keeps says who it was.
	found := do(server, site.callAs(ops, "carol", users6, "GET", "/v1/accounts/HB-1001/transfers", ""))
	if !strings.Contains(found.Body.String(), "HB-2001") {
		t.Errorf("%s", found.Body)
	}
}

// TestGuessing passwords is slowed down, and told in Retry-After.
func TestGuessing(t *testing.T) {
	t.Parallel()
	site, clock := newSite(t, deployment.Addresses{}), &patient{now: time.Now()}
	server := newServer(t, site, func(c *resource.Config) { c.Now = clock.Now })
	var statuses []int
	var last *httptest.ResponseRecorder
	for range 7 { // without a moment between them
		last = signIn(server, site, mobile, "bob", "guess")
		statuses = append(statuses, last.Code)
	}
	// The phone signed in before: it is familiar, which spares it nothing.
	if fmt.Sprint(statuses) != "[401 401 401 401 401 401 429]" || last.Header().Get("Retry-After") != "1" || kindOf(last) != "rate-limited" {
		t.Errorf("%v, Retry-After %q, %s", statuses, last.Header().Get("Retry-After"), last.Body)
	}
	if first := signIn(server, site, mobile, "alice", "guess"); first.Code != 401 || kindOf(first) != "sign-in-failed" {
		t.Errorf("another user: %d %s", first.Code, first.Body)
	}
}

// TestKnownDevices are served while somebody guesses on others, also after a restart. All
// of them share an address.
func TestKnownDevices(t *testing.T) {
	t.Parallel()
	site, clock := newSite(t, deployment.Addresses{}), &patient{now: time.Now()}
	config := func(c *resource.Config) { c.Now = clock.Now }
	server := newServer(t, site, config)
	keyOf(t, signIn(server, site, mobile, "alice", password))
	for restarted := range 2 {
		if restarted == 1 {
			server.Close()
			again := newServer(t, site, config)
			for range 8 { // it did not end in order: what is signed for the next seconds may have been served
				clock.wait()
			}
			for id, p := range maps.Clone(site.phones) {
				id.server = again
				site.phones[id] = p
			}
			server = again
		}
		for i, want := range []int{401, 401, 401, 401, 401, 401, 429} {
			if answer := signInOn(server, site, "mallory", kiosk, "alice", "guess"); answer.Code != want {
				t.Errorf("guess %d on another phone: %d %s", i, answer.Code, answer.Body)
			}
		}
		if answer := signInOn(server, site, "bob", mobile, "alice", password); answer.Code != 429 || answer.Header().Get("Retry-After") != "1" {
			t.Errorf("on a phone that is new to her: %d %s", answer.Code, answer.Body)
		}
		keyOf(t, signIn(server, site, mobile, "alice", password))
	}
}

// TestManagementOfUsers: everything takes effect with the next call.
func TestManagementOfUsers(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	key := keyOf(t, signIn(r.server, r.site, mobile, "alice", password)).Key
	other := keyOf(t, signIn(r.server, r.site, mobile, "alice", password)).Key
	bobs := keyOf(t, signIn(r.server, r.site, mobile, "bob", password)).Key
	use := func(user string, key session.Key) int {
		return with(r.server, r.site, mobile, user, key, "GET", "/v1/accounts")
	}

	listed := testenv.Must[manage.SessionList](t)(manage.Sessions(ctx, r.admin, manage.SessionQuery{})).Sessions
	if len(listed) != 5 { // the phones have one each, too
		t.Fatalf("%d sessions: %+v", len(listed), listed)
	}
	for _, s := range listed {
		if s.User == "" || s.App != mobile || s.Stage != users6 || s.Device == "" || s.ID == "" || s.ExpiresAt.Before(s.CreatedAt) || strings.Contains(string(key), s.ID) {
			t.Errorf("%+v", s)
		}
	}
	newest := ""
	for _, s := range listed {
		if s.User == "alice" {
			newest = s.ID
			break
		}
	}
	post := func(path string, into any, want int) {
		t.Helper()
		err := r.admin.Do(ctx, http.MethodPost, path, nil, into)
		var p *problem.Problem
		if want == 0 && err != nil || want != 0 && (!errors.As(err, &p) || p.Status != want) {
			t.Fatalf("POST %s: %v, want %d", path, err, want)
		}
	}
	post("/sessions/"+newest+"/revoke", nil, 0)
	if a, b, c := use("alice", key), use("alice", other), use("bob", bobs); a != 200 || b != 401 || c != 200 {
		t.Errorf("after one was revoked: %d, %d, %d", a, b, c)
	}
	post("/sessions/"+newest+"/revoke", nil, 404)
	post("/users/alice/sessions/revoke", nil, 0)
	if a, b, c := use("alice", key), use("alice", other), use("bob", bobs); a != 401 || b != 401 || c != 200 {
		t.Errorf("after all of alice's were revoked: %d, %d, %d", a, b, c)
	}
	post("/users/nobody/sessions/revoke", nil, 404)

	for range 7 {
		signIn(r.server, r.site, mobile, "mallory", "guess")
	}
	people := testenv.Must[manage.UserList](t)(manage.Users(ctx, r.admin, manage.UserQuery{})).Users
	got := ""
	for _, u := range people {
		got += fmt.Sprintf("%s %d %v; ", u.Name, u.Sessions, u.Staff)
	}
	if got != "alice 0 false; bob 2 false; carol 0 true; mallory 1 false; " {
		t.Errorf("users: %s", got)
	}
	if answer := signIn(r.server, r.site, mobile, "mallory", password); answer.Code != 429 || people[3].FailedSignIns != 6 {
		t.Errorf("after too many failures: %d, %+v", answer.Code, people[3])
	}
	post("/users/mallory/failed-sign-ins/clear", nil, 0)
	if answer := signIn(r.server, r.site, mobile, "mallory", password); answer.Code != 201 {
		t.Errorf("after they were cleared: %d", answer.Code)
	}
	post("/users/nobody/failed-sign-ins/clear", nil, 404)

	registered := testenv.Must[manage.DeviceList](t)(manage.Devices(ctx, r.admin, manage.DeviceQuery{})).Devices
	banned := ""
	for _, d := range registered {
		if strings.Contains(d.Identifier, "bob") {
			banned = d.ID
			if d.App != mobile || d.Stage != users6 || d.LastSeen == nil || d.RegisteredAt.IsZero() {
				t.Errorf("%+v", d)
			}
		}
	}
	var device manage.Device
	post("/devices/"+banned+"/ban", &device, 0)
	if status := use("bob", bobs); status != 403 || device.BannedAt == nil {
		t.Errorf("from a banned device: %d, %+v", status, device)
	}
	post("/devices/"+banned+"/allow", nil, 0)
	if status := use("bob", bobs); status != 200 {
		t.Errorf("from an allowed device: %d", status)
	}
	post("/devices/nothing/ban", nil, 404)

	before := testenv.Must[manage.Secret](t)(manage.Get[manage.Secret](ctx, r.admin, "/keys/"+mobile+"/secret"))
	var after manage.Secret
	post("/keys/"+mobile+"/secret", &after, 0)
	if before.Secret != r.secrets[mobile] || after.Secret == before.Secret || after.Key != mobile {
		t.Error("the secret was not rotated")
	}
	if status := use("bob", bobs); status != 401 {
		t.Errorf("with the old secret: %d", status)
	}
	r.secrets[mobile] = after.Secret
	if status := use("bob", bobs); status != 200 {
		t.Errorf("with the new secret, and the session from before: %d", status)
	}
	post("/keys/"+books+"/secret", nil, 404)

	text := r.log.String()
	for _, want := range []string{"/users/alice/sessions/revoke", "/users/mallory/failed-sign-ins/clear", "/devices/" + banned + "/ban", "method=GET path=/keys/" + mobile + "/secret", "outcome=no-such-resource", "by=admin"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	for _, secret := range []string{before.Secret, after.Secret, string(key), string(bobs), password} {
		if strings.Contains(text, secret) {
			t.Error("a secret is in the log")
		}
	}

	post("/reset", nil, 0)
	r.secrets[mobile] = before.Secret
	if left := testenv.Must[manage.SessionList](t)(manage.Sessions(ctx, r.admin, manage.SessionQuery{})); left.Total > 0 {
		t.Errorf("sessions after a reset: %v", left)
	}
	if left := testenv.Must[manage.DeviceList](t)(manage.Devices(ctx, r.admin, manage.DeviceQuery{})); left.Total > 0 {
		t.Errorf("devices after a reset: %v", left)
	}
}

// TestRestartWithUsers keeps sessions and devices, and refuses what was signed before.
func TestRestartWithUsers(t *testing.T) {
	t.Parallel()
	clock := &patient{now: time.Now().Truncate(time.Second)}
	site := newSite(t, deployment.Addresses{})
	config := func(c *resource.Config) { c.Now = clock.Now }
	server := newServer(t, site, config)
	// One phone's clock is fast.
	fast := site.callAs(mobile, "bob", users6, "GET", "/v1/accounts", "")
	site.phone(server, fast.Context().Value(senderKey{}).(sender)).now = func() time.Time { return clock.Now().Add(50 * time.Second) }
	old := site.call(mobile, users6, "GET", "/v1/accounts", "")
	for _, call := range []*http.Request{fast, old} {
		if answer := do(server, call); answer.Code != 200 {
			t.Fatal(answer.Code)
		}
	}
	who := old.Context().Value(senderKey{}).(sender)
	p := site.phone(server, who)
	if err := server.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	clock.wait()
	again := newServer(t, site, config)
	for name, call := range map[string]*http.Request{"a call": old, "a call of a fast clock": fast} {
		replayed := httptest.NewRecorder()
		if again.Handler().ServeHTTP(replayed, call); replayed.Code != 401 || !strings.Contains(replayed.Header().Get("WWW-Authenticate"), "Stale") {
			t.Errorf("%s from before: %d %v", name, replayed.Code, replayed.Header())
		}
	}
	for range 60 { // until the fast clock's time has passed
		clock.wait()
	}
	site.phones[phoneID{again, mobile, "alice", users6}] = p
	if answer := do(again, site.call(mobile, users6, "GET", "/v1/accounts", "")); answer.Code != 200 {
		t.Errorf("the session after a restart: %d %s", answer.Code, answer.Body)
	}
}

// TestPartner calls over the network, as the partner's server does.
func TestPartner(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	settled := func() string {
		day := time.Now().UTC().Format(time.DateOnly)
		return fmt.Sprintf(`{"settlements":[{"day":%q,"account":"HB-4001","currency":"EUR","transfers":2,"amount":350}]}`, day)
	}
	begin := settled() // the day may end meanwhile
	for _, amount := range []string{"100", "250"} {
		body := strings.Replace(order(amount, "Books"), "HB-2001", "HB-4001", 1)
		if answer := do(r.server, r.call(mobile, users6, "POST", "/v1/transfers", body)); answer.Code != http.StatusCreated {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
	partner, app := r.clients[books], r.clients[mobile]
	for _, stage := range catalog.All().Built() {
		url := r.tls + "/" + stage.Slug + "/partner/v1/settlements"
		want := 200
		if stage.API.Partners != catalog.PartnersByCertificate {
			want = 404
		}
		resp, err := r.get(t, url, books, &partner)
		if err != nil {
			t.Fatal(err)
		}
		body := testenv.Must[[]byte](t)(io.ReadAll(resp.Body))
		if resp.StatusCode != want {
			t.Errorf("%s: %d %s", stage.Slug, resp.StatusCode, body)
		}
		if want == 404 {
			if !strings.Contains(string(body), "pinned-mtls") {
				t.Errorf("%s: %s", stage.Slug, body)
			}
			continue
		}
		if got := strings.TrimSpace(string(body)); got != begin && got != settled() {
			t.Errorf("%s: %s, want %s", stage.Slug, got, begin)
		}
		for name, client := range map[string]*tls.Certificate{"nobody": nil, "an app": &app, "the partner with another key": &r.unpinned} {
			if status := r.status(t, url, books, client); status != 403 {
				t.Errorf("%s at %s: %d", name, stage.Slug, status)
			}
		}
		if status := r.status(t, url, books, &r.strangers); status != 0 {
			t.Errorf("a stranger at %s: %d", stage.Slug, status)
		}
	}
	url := r.tls + "/pinned-mtls/partner/v1/settlements"
	for _, step := range []struct {
		change string
		want   int
	}{{"revoke", 403}, {"restore", 200}} {
		testenv.Must[manage.Key](t)(manage.Post[manage.Key](ctx, r.admin, "/keys/"+books+"/"+step.change, nil))
		if status := r.status(t, url, books, &partner); status != step.want {
			t.Errorf("after %s: %d", step.change, status)
		}
	}
	usage := testenv.Must[[]manage.Usage](t)(r.admin.Usage(ctx, 2)) // the day may have ended meanwhile
	counted := false
	for _, u := range usage {
		counted = counted || u.App == books && u.Route == "GET /partner/v1/settlements" && u.Served == 1
	}
	if !counted {
		t.Errorf("usage: %+v", usage)
	}
}

// TestAnyByteOnTheWire changes one byte of a signed request on its way, behind the end of
// TLS so to speak, and never gets it booked.
func TestAnyByteOnTheWire(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	client := r.clients[mobile]
	const seed = 20261121
	random := rand.New(rand.NewPCG(seed, seed))
	for i := range 120 {
		stage := []string{"hmac", "hidden-secrets", users6}[i%3]
		req := r.call(mobile, stage, "POST", "/v1/transfers?from=phone", order("1", "once"))
		prepare(r.server, req)
		body := testenv.Must[[]byte](t)(io.ReadAll(req.Body))
		var raw bytes.Buffer
		fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: localhost:8443\r\nContent-Length: %d\r\nConnection: close\r\n", req.Method, req.RequestURI, len(body))
		if err := req.Header.Write(&raw); err != nil {
			t.Fatal(err)
		}
		raw.WriteString("\r\n")
		head := raw.String()
		message := append(raw.Bytes(), body...)

		// What is covered: method and target, the values of the signature's attributes, the body.
		var covered []int
		for at := range strings.Index(head, " HTTP/1.1") {
			if head[at] != ' ' {
				covered = append(covered, at)
			}
		}
		begin := strings.Index(head, "Authorization: Hawk ") + len("Authorization: Hawk ")
		inValue := false
		for at := begin; head[at] != '\r'; at++ {
			if head[at] == '"' {
				inValue = !inValue
			} else if inValue {
				covered = append(covered, at)
			}
		}
		for at := range body {
			covered = append(covered, len(head)+at)
		}
		at := covered[random.IntN(len(covered))]
		untouched := i < 3
		if !untouched {
			message[at] ^= 1 << random.IntN(7)
		}

		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", strings.TrimPrefix(r.tls, "https://"), &tls.Config{
			RootCAs: r.roots, Certificates: []tls.Certificate{client}, NextProtos: []string{"http/1.1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		status := 0
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			status = resp.StatusCode
		}
		conn.Close()
		if untouched && status != http.StatusCreated {
			t.Errorf("%s as it was signed: %d", stage, status)
		}
		if !untouched && status < 400 {
			t.Errorf("%s with byte %d, %q, changed: %d\n%s", stage, at, append([]byte(head), body...)[at], status, message)
		}
	}
	booked := testenv.Must[[]manage.Transfer](t)(r.admin.Transfers(context.Background(), "once"))
	if len(booked) != 3 {
		t.Errorf("%d transfers were booked", len(booked))
	}
}

// TestManyUsersAtOnce signs in, pays and signs out in parallel.
func TestManyUsersAtOnce(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	accounts := map[string]string{"alice": "HB-1001", "bob": "HB-2001", "mallory": "HB-3001"}
	var wait sync.WaitGroup
	for user, account := range accounts {
		wait.Go(func() {
			for range 10 {
				key := keyOf(t, signIn(server, site, mobile, user, password)).Key
				for other, theirs := range accounts {
					want := 404
					if other == user {
						want = 200
					}
					if status := with(server, site, mobile, user, key, "GET", "/v1/accounts/"+theirs); status != want {
						t.Errorf("%s reads %s: %d", user, theirs, status)
					}
				}
				if status := with(server, site, mobile, user, key, "DELETE", "/v1/session"); status != 204 {
					t.Errorf("%s signs out: %d", user, status)
				}
				if status := with(server, site, mobile, user, key, "GET", "/v1/accounts/"+account); status != 401 {
					t.Errorf("%s is still signed in: %d", user, status)
				}
			}
		})
	}
	wait.Wait()
}

// TestDeviceRegistration over the API.
func TestDeviceRegistration(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	for _, stage := range catalog.All().Built() {
		if stage.Call.Devices != catalog.RegisteredDevices {
			continue
		}
		used := site.call(mobile, stage.Slug, "GET", "/v1/accounts", "")
		if answer := do(server, used); answer.Code != 200 {
			t.Fatal(answer.Code)
		}
		for _, test := range []struct {
			app, body string
			want      int
			kind      string
		}{
			{mobile, `{"identifier":"phone-7"}`, 201, ""},
			{mobile, `{"identifier":"phone-7"}`, 201, ""}, // the answer may have got lost
			{kiosk, `{"identifier":"phone-7"}`, 409, "device-taken"},
			{mobile, fmt.Sprintf(`{"identifier":%q}`, used.Header.Get("Device-Id")), 409, "device-taken"},
			{mobile, `{"identifier":""}`, 422, "unprocessable"},
			{mobile, `{"identifier":"a b"}`, 422, "unprocessable"},
			{mobile, `{}`, 422, "unprocessable"},
			{mobile, `{"identifier":"x","guid":"mine"}`, 422, "unprocessable"},
			{mobile, "", 400, "bad-request"},
		} {
			answer := do(server, site.call(test.app, stage.Slug, "POST", "/v1/devices", test.body))
			if answer.Code != test.want || kindOf(answer) != test.kind {
				t.Errorf("%s: %s: %d %s", stage.Slug, test.body, answer.Code, answer.Body)
			}
		}
	}
}
