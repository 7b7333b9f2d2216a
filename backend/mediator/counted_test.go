package mediator_test

import (
	"net/http"
	"testing"

	"keyladder/backend/mediator"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// counted is what the mediator has counted of a route at the stage whose tokens it issues.
func (w *world) counted(route string) (served, refused int64) {
	w.Helper()
	for _, u := range testenv.Must[[]manage.Usage](w)(manage.Get[[]manage.Usage](w.Context(), w.manage, "/usage?days=1")) {
		if u.Stage == issuing && u.Route == route {
			served, refused = served+u.Served, refused+u.Refused
		}
	}
	return served, refused
}

// Calls that the gateway refuses never reach the API, which could count them: so they are counted where
// they end. A reset forgets them, and switches the firewall off.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	w := start(t, func(config *mediator.Config) { config.Stages = catalog.All() }) // with the gateway
	p := w.phone("d1")
	p.signIn(w.provider("one", nil), "alice")
	const call = "GET /v1/accounts"
	if served, refused := w.counted(call); served+refused != 0 {
		t.Fatalf("%d and %d before there was one", served, refused)
	}
	for range 3 {
		r, err := http.NewRequest(http.MethodGet, w.at("/v1/accounts"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.do(r); got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
			t.Fatalf("without any token: %d %s", got.status, got.body)
		}
	}
	if served, refused := w.counted(call); served != 0 || refused != 3 {
		t.Errorf("%d let through, %d refused", served, refused)
	}
	if served, _ := w.counted("POST /token"); served != 1 {
		t.Errorf("%d at the token endpoint", served)
	}
	if on := testenv.Must[manage.WAF](t)(manage.SwitchWAF(t.Context(), w.manage, true)); !on.On {
		t.Error("the firewall is off")
	}
	testenv.Must[any](t)(manage.Post[any](t.Context(), w.manage, "/reset", nil))
	if served, refused := w.counted(call); served+refused != 0 {
		t.Errorf("%d and %d after a reset", served, refused)
	}
	if state := testenv.Must[manage.Gateway](t)(manage.GatewayState(t.Context(), w.manage)); state.WAF.On || !state.Rates.Key || state.Rates.At != nil {
		t.Errorf("%+v, %+v", state.WAF, state.Rates)
	}
	if list := testenv.Must[manage.MediatorSessionList](t)(manage.MediatorSessions(t.Context(), w.manage, manage.MediatorSessionQuery{})); list.Total != 0 {
		t.Errorf("%d sign-ins after a reset", list.Total)
	}
}
