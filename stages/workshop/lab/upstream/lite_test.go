package upstream

import (
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// TestLite: the app's user signs in at the other company, whose authorization server binds codes to
// nothing and gives opaque tokens. The app gets the mediator's, renews them, calls the API and gives
// them back, as with any provider.
func TestLite(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	w := start(t, map[string]string{"token_lifetime_short": "2s"})
	p := w.phone()
	p.signsIn("alice", catalog.Lite)
	begun := w.sessions("alice", catalog.Lite)
	if len(begun) != 1 || !begun[0].KeepsTokens || len(w.sessions("alice", catalog.Bank)) != 0 {
		t.Fatalf("the mediator has %+v", begun)
	}
	// The app's token lives two seconds. Then the mediator gives it another one.
	time.Sleep(2100 * time.Millisecond)
	p.served("alice")
	transfer := device.Payment{From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100}
	if screen := testenv.Must[device.Screen](t)(p.app.Transfer(t.Context(), transfer)); !screen.OK {
		t.Errorf("a transfer: %+v", screen)
	}
	if got := w.asked("POST", "/token"); got["lite"] == 0 || got["auth"] != 0 {
		t.Errorf("requests for tokens: %v", got)
	}
	p.signsOut()
	if screen := testenv.Must[device.Screen](t)(p.app.Accounts(t.Context())); screen.OK || screen.SignedIn {
		t.Errorf("after signing out: %+v", screen)
	}
	testenv.Within(t, 10*time.Second, "the other company has its tokens back", func() bool {
		ended := testenv.Must[manage.MediatorSessionList](t)(manage.MediatorSessions(t.Context(), w.mediator, manage.MediatorSessionQuery{}))
		return ended.Total == 1 && ended.Sessions[0].EndedAt != nil && !ended.Sessions[0].KeepsTokens && w.asked("POST", "/revoke")["lite"] > 0
	})
}

// asked is how often the authorization servers were asked for something at the stage, as they have
// recorded it.
func (w *world) asked(method, endpoint string) map[string]int {
	w.Helper()
	counted := map[string]int{}
	for _, role := range []deployment.Role{deployment.Auth, deployment.Lite} {
		server := testenv.Must[*manage.Client](w)(manage.NewClient(w.folder(deployment.Admin), role))
		for _, m := range testenv.Must[feed.Page[traffic.Message]](w)(server.Traffic(w.Context(), feed.Cursor{})).Entries {
			if m.Kind == traffic.Request && m.To == string(role) && m.Summary == method+" /"+w.stage.Slug+endpoint {
				counted[string(role)]++
			}
		}
		server.Close()
	}
	return counted
}
