package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/tempdir"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
)

// scratch is a folder for what tests share.
var scratch string

func TestMain(m *testing.M) {
	err := errors.Join(testenv.Waiting(), tempdir.InMemory())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if scratch, err = os.MkdirTemp("", "keyladder-lab-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := errors.Join(lab.Cleanup(), os.RemoveAll(scratch)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// start starts a lab that ends with the test.
func start(t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// A revoked key is refused everywhere at once, and a restored one is good again. In short runs it is
// tried at the last stage, where all servers have to know.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	stages := catalog.All().Built()
	if testing.Short() {
		stages = stages[len(stages)-1:]
	}
	for _, stage := range stages {
		if genuine := l.Referee.Genuine(t.Context(), stage.Slug); !genuine.OK {
			t.Fatalf("at %s before: %s", stage.Slug, genuine.Reason)
		}
	}
	change := func(what string) {
		t.Helper()
		for _, server := range []*manage.Client{l.Resource, l.Auth} { // each has clients of its own
			if _, err := manage.Post[any](t.Context(), server, "/keys/harbour-mobile/"+what, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	change("revoke")
	for _, stage := range stages {
		if genuine := l.Referee.Genuine(t.Context(), stage.Slug); genuine.OK {
			t.Errorf("at %s the revoked key is good", stage.Slug)
		}
	}
	change("restore")
	for _, stage := range stages {
		if genuine := l.Referee.Genuine(t.Context(), stage.Slug); !genuine.OK {
			t.Errorf("at %s after: %s", stage.Slug, genuine.Reason)
		}
	}
}

// Installed apps go on working when the deployment is set back, although the server
// then knows none of their devices.
func TestReset(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	app := launch(t, newDevice(t, l, 1), "hmac")
	accounts := func() (device.Screen, error) { return app.Accounts(t.Context()) }
	served(t, "before", accounts)
	if genuine := l.Referee.Genuine(t.Context(), "hmac"); !genuine.OK {
		t.Fatal(genuine.Reason)
	}
	if _, err := manage.Post[any](t.Context(), l.Resource, "/reset", nil); err != nil {
		t.Fatal(err)
	}
	ledger, err := l.Resource.Ledger(t.Context())
	if err != nil || ledger.Accounts[0].Balance != 500_000_000 {
		t.Errorf("after the reset %+v, %v", ledger.Accounts, err)
	}
	served(t, "after", accounts)
}

// What was acknowledged is there after a restart, and what was made is kept.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := lab.Start(t.Context(), lab.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if first.Done != deploy.Made {
		t.Error("the first start made nothing")
	}
	if genuine := first.Referee.Genuine(t.Context(), "pinned-mtls"); !genuine.OK {
		t.Fatal(genuine.Reason)
	}
	before, usage := state(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, lab.Options{Dir: dir, Ports: first.Ports})
	if second.Done != deploy.Kept {
		t.Errorf("the second start %s it", second.Done)
	}
	after, usageAfter := state(t, second)
	if before != after {
		t.Errorf("the ledger was\n%s and is\n%s", before, after)
	}
	if usage != usageAfter {
		t.Errorf("the usage was\n%s and is\n%s", usage, usageAfter)
	}
	if genuine := second.Referee.Genuine(t.Context(), "pinned-mtls"); !genuine.OK {
		t.Error(genuine.Reason)
	}
}

// Sessions last as long as the lab was told: here the app's user is signed out again before
// the next call.
func TestShortSessions(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"idle": {"session_idle": "1ns"}, "absolute": {"session_idle": "1ns", "session_lifetime": "1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Settings: settings})
			genuine := l.Referee.Genuine(t.Context(), "user-session")
			if genuine.OK || !strings.Contains(genuine.Reason, "your session has ended") {
				t.Errorf("%v, %q", genuine.OK, genuine.Reason)
			}
		})
	}
}

func state(t *testing.T, l *lab.Lab) (ledger, usage string) {
	t.Helper()
	accounts, err := l.Resource.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counted, err := l.Resource.Usage(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts.Accounts) == 0 || len(counted) == 0 {
		t.Fatalf("%d accounts, %d usage rows", len(accounts.Accounts), len(counted))
	}
	return fmt.Sprintf("%+v", accounts), fmt.Sprintf("%+v", counted)
}

// How long a deployment takes to start, once it is made.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	first, err := lab.Start(b.Context(), lab.Options{Dir: dir, Screens: true})
	if err != nil {
		b.Fatal(err)
	}
	if err := first.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := lab.Start(b.Context(), lab.Options{Dir: dir, Screens: true, Ports: first.Ports})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// A lab that nobody waits for any more is not started.
func TestNoLabAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Start(ctx, lab.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a lab starts: %v", err)
	}
	_, err := lab.Matrix(ctx, catalog.All(), nil, nil, 1, func(int, int, manage.Cell) { t.Error("a cell is filled") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the matrix says %v", err)
	}
}

// Throw-away labs begin alike and share no state, whatever the ones before them did, and
// get by when somebody else has taken the ports meanwhile.
func TestThrowAwayLabs(t *testing.T) {
	t.Parallel()
	// Packages of its own, so that no other test's lab comes in between.
	stages := catalog.All().Unbuilt("signed-calls")
	run := func() (addresses deployment.Addresses, roots string) {
		t.Helper()
		l, err := lab.Start(t.Context(), lab.Options{Stages: stages})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}()
		ledger, err := l.Resource.Ledger(t.Context())
		if err != nil || ledger.Accounts[0].Balance != 500_000_000 {
			t.Errorf("it begins with %+v, %v", ledger.Accounts, err)
		}
		devices, err := manage.Devices(t.Context(), l.Resource, manage.DeviceQuery{})
		if err != nil || devices.Total > 0 {
			t.Errorf("it begins with %+v, %v", devices, err)
		}
		if genuine := l.Referee.Genuine(t.Context(), "hmac"); !genuine.OK {
			t.Error(genuine.Reason)
		}
		return l.Addresses, string(l.Roots)
	}
	first, roots := run()
	shared := false
	for range 20 { // somebody may have taken a port in between
		before := roots
		if first, roots = run(); roots == before {
			shared = true
			break
		}
	}
	if !shared {
		t.Error("each has a deployment of its own")
	}
	taken, err := net.Listen("tcp", strings.TrimPrefix(first.URL(deployment.API), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if third, _ := run(); third.URL(deployment.API) == first.URL(deployment.API) {
		t.Errorf("two listen at %s", third.URL(deployment.API))
	}
}
