package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// mediatedStage is the first at which a mediator adds the client secret.
func mediatedStage(t *testing.T) catalog.Stage {
	t.Helper()
	built := catalog.All().Built()
	i := slices.IndexFunc(built, func(s catalog.Stage) bool { return s.Call.ClientAuth == catalog.Mediated })
	if i < 0 {
		t.Skip("no stage has a mediator")
	}
	return built[i]
}

// asked are the paths that a server was asked for, as it has them on record.
func asked(log *traffic.Log, server string) (paths []string) {
	for _, m := range log.After(0) {
		if m.Kind == traffic.Request && m.To == server {
			paths = append(paths, m.Summary)
		}
	}
	return paths
}

// TestThroughTheMediator: the app signs in, renews its tokens and signs out through the mediator, and
// shows the authorization server nothing but pages.
func TestThroughTheMediator(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	stage := mediatedStage(t)
	bank := testbank.Start(t, testbank.Options{ShortTokens: 2 * time.Second})
	b := newBenchAt(t, bank)
	app := b.launch(t, stage.Slug)
	b.signIn(t, app, stage.Call)
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
			t.Fatalf("%+v", screen)
		}
	}
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || screen.SignedIn {
		t.Errorf("%+v", screen)
	}
	paths := asked(bank.MediatorLog, "mediator")
	if n := count(paths, "POST /"+stage.Slug+"/token"); n < 3 || count(paths, "POST /"+stage.Slug+"/revoke") != 1 {
		t.Errorf("the mediator was asked for %v", paths)
	}
	forwarded := asked(bank.MediatorLog, "network")
	for _, path := range []string{"/token", "/revoke"} {
		if got, want := count(asked(bank.AuthLog, "auth"), "POST /"+stage.Slug+path), count(forwarded, "POST /"+stage.Slug+path); got != want {
			t.Errorf("the authorization server was asked for %s %d times, and %d times by the mediator", path, got, want)
		}
	}
}

// TestServersBehindTokensAreDown: where the mediator is stopped, or the authorization server behind it,
// calls go on with the access token that there is. Then the app says what is wrong, its user stays signed
// in, and when the server is back all goes on by itself.
func TestServersBehindTokensAreDown(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	stage := mediatedStage(t)
	const life = 4 * time.Second
	bank := testbank.Start(t, testbank.Options{ShortTokens: life})
	b := newBenchAt(t, bank)
	app := b.launch(t, stage.Slug)
	began := time.Now()
	b.signIn(t, app, stage.Call)
	for _, server := range []struct {
		name        string
		stop, start func()
		says        string
	}{
		{"the mediator", bank.StopMediator, bank.StartMediator, "that the mediator runs"},
		{"the authorization server", bank.StopAuth, bank.StartAuth, "You stay signed in"},
	} {
		server.stop()
		if screen := shown(t)(app.Accounts(t.Context())); time.Since(began) < life/2 && !screen.OK {
			t.Errorf("%s is stopped, with a good access token: %+v", server.name, screen)
		}
		time.Sleep(time.Until(began.Add(life + time.Second)))
		if screen := shown(t)(app.Accounts(t.Context())); screen.OK || !screen.SignedIn || !strings.Contains(screen.Error, server.says) {
			t.Errorf("%s is stopped, without one: %+v", server.name, screen)
		}
		if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
			t.Errorf("%s is stopped, public data: %+v", server.name, screen)
		}
		server.start()
		began = time.Now()
		if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
			t.Errorf("%s is up again: %+v", server.name, screen)
		}
	}
}
