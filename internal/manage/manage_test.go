package manage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
)

// deployed makes folders for the resource server, the admin and the phone, with
// management certificates of one authority.
func deployed(t *testing.T, address string) map[deployment.Role]*deployment.Folder {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[deployment.Role]*deployment.Folder{}
	for _, role := range []deployment.Role{deployment.Resource, deployment.Admin, deployment.Phone} {
		w, err := deployment.NewWriter(dir, role, "test", time.Now(), deployment.Addresses{
			Public: map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + address},
		})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := ca.Peer(string(role), string(role))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Pair("manage", pair), w.File("manage-ca.pem", ca.Certificate), w.Close()); err != nil {
			t.Fatal(err)
		}
		if folders[role], err = deployment.Open(dir, role); err != nil {
			t.Fatal(err)
		}
	}
	return folders
}

func started(t *testing.T, log *traffic.Log, health func(context.Context) error) map[deployment.Role]*deployment.Folder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	folders := deployed(t, listener.Addr().String())
	server := NewServer(folders[deployment.Resource], log, health)
	server.For(deployment.Phone).GET("/of-phones", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return folders
}

func TestOnlyTheAdminGetsIn(t *testing.T) {
	t.Parallel()
	folders := started(t, traffic.New("resource", 8), nil)
	for _, tt := range []struct {
		role   deployment.Role
		path   string
		status int // 0: let in
	}{
		{deployment.Admin, "/health", 0},
		{deployment.Admin, "/traffic/end", 0},
		{deployment.Resource, "/health", 0},
		{deployment.Resource, "/metrics", 0},
		{deployment.Resource, "/traffic/end", http.StatusForbidden},
		{deployment.Phone, "/health", http.StatusForbidden},
		{deployment.Phone, "/traffic/end", http.StatusForbidden},
	} {
		t.Run(string(tt.role)+tt.path, func(t *testing.T) {
			t.Parallel()
			client, err := NewClient(folders[tt.role], deployment.Resource)
			if err != nil {
				t.Fatal(err)
			}
			err = client.Do(t.Context(), http.MethodGet, tt.path, nil, nil)
			status := 0
			var p *problem.Problem
			if errors.As(err, &p) {
				status = p.Status
			} else if err != nil {
				t.Fatal(err)
			}
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
		})
	}
}

func TestStrangersAreRefusedByTLS(t *testing.T) {
	t.Parallel()
	ours := started(t, traffic.New("resource", 8), nil)
	strangers := deployed(t, "")
	for _, folder := range strangers {
		folder.Addresses = ours[deployment.Admin].Addresses
	}
	client, err := NewClient(strangers[deployment.Admin], deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	var p *problem.Problem
	if err := client.Healthy(t.Context()); err == nil || errors.As(err, &p) {
		t.Errorf("got %v, want a failed handshake", err)
	}
}

func TestUnhealthy(t *testing.T) {
	t.Parallel()
	folders := started(t, traffic.New("resource", 8), func(context.Context) error { return errors.New("the database is gone") })
	client, err := NewClient(folders[deployment.Resource], deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	var p *problem.Problem
	if err := client.Healthy(t.Context()); !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable {
		t.Errorf("got %v, want 503", err)
	}
}

func TestTrafficWaits(t *testing.T) {
	t.Parallel()
	log := traffic.New("resource", 8)
	folders := started(t, log, nil)
	client, err := NewClient(folders[deployment.Admin], deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	end, err := client.TrafficEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan feed.Page[traffic.Message], 1)
	go func() {
		page, err := Traffic(client).Read(t.Context(), end, 20*time.Second)
		if err != nil {
			t.Error(err)
		}
		got <- page
	}()
	log.Add(traffic.Message{Summary: "GET /tls/v1/rates", Body: []byte("x")})
	page := <-got
	if len(page.Entries) != 1 || page.Entries[0].Summary != "GET /tls/v1/rates" || string(page.Entries[0].Body) != "x" {
		t.Errorf("got %+v", page)
	}
}

// TestStopsWithoutPollers: a server that is to stop answers those who wait for news, and does not wait
// for them.
func TestStopsWithoutPollers(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	folders, log := deployed(t, listener.Addr().String()), traffic.New("resource", 8)
	server := NewServer(folders[deployment.Resource], log, nil)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ctx, listener) }()
	client, err := NewClient(folders[deployment.Admin], deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	end, err := client.TrafficEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		page, err := Traffic(client).Read(t.Context(), end, maxWait)
		if err == nil && (len(page.Entries) > 0 || page.Next != end) {
			err = fmt.Errorf("%+v", page)
		}
		polled <- err
	}()
	time.Sleep(100 * time.Millisecond) // if it does not wait yet, it finds nobody, which is no fault
	begin := time.Now()
	stop()
	if err := <-polled; err != nil {
		t.Log("too early to be answered:", err)
	}
	if err := <-stopped; err != nil || time.Since(begin) >= serve.Patience {
		t.Errorf("stopped with %v after %v", err, time.Since(begin))
	}
}

// A few thousand requests by a stranger, each with a header that JSON would make six times as
// long, must not keep anybody from reading what comes after them.
func TestTrafficOfAFlood(t *testing.T) {
	t.Parallel()
	log := traffic.New("resource", 4096)
	folders := started(t, log, nil)
	client, err := NewClient(folders[deployment.Admin], deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	log.Add(traffic.Message{Summary: "before"})
	page, err := client.Traffic(t.Context(), feed.Cursor{})
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	filler := strings.Repeat("\xff", 12_000)
	for range 2100 {
		log.Add(traffic.Message{Head: filler, Body: []byte(filler)})
		log.Add(traffic.Message{Summary: "403 Forbidden", Verdict: &traffic.Verdict{Check: "user-agent", Reason: filler}})
	}
	log.Add(traffic.Message{Summary: "after"})
	page, err = client.Traffic(t.Context(), page.Next)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page.Entries); page.Entries[n-1].Summary != "after" || page.Cut != uint64(4201-n) || page.Cut == 0 {
		t.Errorf("%d messages, %d cut, the last is %q", n, page.Cut, page.Entries[n-1].Summary)
	}
}

// A part of an answer must not be taken for all of it.
func TestTooLongIsAnError(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	folders := deployed(t, listener.Addr().String())
	server := NewServer(folders[deployment.Resource], traffic.New("resource", 8), nil)
	for path, n := range map[string]int{"/fits": maxAnswer - 2, "/long": maxAnswer - 1} {
		server.For(deployment.Admin).GET(path, func(c echo.Context) error {
			return c.JSONBlob(http.StatusOK, []byte(`"`+strings.Repeat("x", n)+`"`))
		})
	}
	go server.Serve(t.Context(), listener) //nolint:errcheck // it ends with the test
	client, err := NewClient(folders[deployment.Admin], deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := Get[string](t.Context(), client, "/fits"); err != nil || len(text) != maxAnswer-2 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if text, err := Get[string](t.Context(), client, "/long"); !errors.Is(err, ErrTooLong) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// A route of which nobody said who may call it is refused when it is added, and so is one for
// a role that no program has.
func TestRoutesNeedRoles(t *testing.T) {
	t.Parallel()
	for name, roles := range map[string][]deployment.Role{"none": nil, "unknown": {"nobody"}, "no program": {deployment.Offline}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := NewServer(deployed(t, "localhost:1")[deployment.Resource], traffic.New("resource", 8), nil)
			defer func() {
				if recover() == nil {
					t.Error("routes were taken")
				}
			}()
			server.For(roles...)
		})
	}
}

// A route is open to the roles that it names, and to them alone: not even to the admin.
func TestRoutesOfOneRole(t *testing.T) {
	t.Parallel()
	folders := started(t, traffic.New("resource", 8), nil)
	for role, want := range map[deployment.Role]int{deployment.Phone: 0, deployment.Admin: http.StatusForbidden, deployment.Resource: http.StatusForbidden} {
		client, err := NewClient(folders[role], deployment.Resource)
		if err != nil {
			t.Fatal(err)
		}
		err = client.Do(t.Context(), http.MethodGet, "/of-phones", nil, nil)
		status := 0
		var p *problem.Problem
		if errors.As(err, &p) {
			status = p.Status
		} else if err != nil {
			t.Fatal(err)
		}
		if status != want {
			t.Errorf("%s: status %d, want %d", role, status, want)
		}
	}
}
