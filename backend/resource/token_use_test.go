package resource_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// TestWhatWasDoneWithAToken is listed, and stays so after it was revoked. Neither does that
// bring back the money.
func TestWhatWasDoneWithAToken(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := t.Context()
	told := tokenOf(t, post(r.server, r.site, "/v1/token", asked(), nil))
	serve := func(method, path, body string, want int) {
		t.Helper()
		if answer := bearing(r.server, r.site, mobile, told.Token, method, path, body); answer.Code != want {
			t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
	}
	balance := func() int64 {
		ledger := testenv.Must[manage.Ledger](t)(manage.Get[manage.Ledger](ctx, r.admin, "/ledger"))
		for _, account := range ledger.Accounts {
			if account.ID == "HB-1001" {
				return account.Balance
			}
		}
		t.Fatalf("%+v", ledger)
		return 0
	}
	before := balance()
	serve(http.MethodGet, "/v1/accounts", "", http.StatusOK)
	serve(http.MethodPost, "/v1/transfers", `{"from":"HB-1001","to":"HB-2001","amount":1234,"currency":"EUR","reference":"r"}`, http.StatusCreated)
	serve(http.MethodGet, "/v1/accounts/HB-9999", "", http.StatusNotFound)
	serve(http.MethodPost, "/v1/accounts/HB-1001/freeze", `{"frozen":true}`, http.StatusForbidden) // was refused, so nothing was done
	token := testenv.Must[manage.TokenList](t)(manage.Tokens(ctx, r.admin, manage.TokenQuery{})).Tokens[0]
	if err := r.admin.Do(ctx, http.MethodPost, "/tokens/revoke", manage.TokenSelection{IDs: []string{token.ID}}, nil); err != nil {
		t.Fatal(err)
	}
	serve(http.MethodGet, "/v1/accounts", "", http.StatusUnauthorized)
	calls := testenv.Must[[]manage.TokenCall](t)(manage.TokenCalls(ctx, r.admin, token.ID))
	var got []string
	for _, call := range calls {
		got = append(got, call.Route+": "+http.StatusText(call.Status)+" "+call.Did)
		if call.Address != "192.0.2.1" || call.At.IsZero() {
			t.Errorf("%+v", call)
		}
	}
	const want = "GET /v1/accounts/{id}: Not Found |POST /v1/transfers: Created paid EUR 12.34 from HB-1001 to HB-2001|GET /v1/accounts: OK "
	if strings.Join(got, "|") != want {
		t.Errorf("listed: %q", got)
	}
	if moved := before - balance(); moved != 1234 {
		t.Errorf("%d are gone after the revocation", moved)
	}
	if none := testenv.Must[[]manage.TokenCall](t)(manage.TokenCalls(ctx, r.admin, "nobody's")); len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

// TestRevocationCheckIsSwitchedOff, at both servers on a database: then a token that was revoked
// is served, because it says everything itself. A server that starts anew goes on with it; a
// reset switches it on.
func TestRevocationCheckIsSwitchedOff(t *testing.T) {
	t.Parallel()
	first := start(t, nil)
	second := first.second(t)
	ctx := t.Context()
	told := tokenOf(t, post(first.server, first.site, "/v1/token", asked(), nil))
	call := func() *httptest.ResponseRecorder {
		return bearing(second, first.site, mobile, told.Token, http.MethodGet, "/v1/accounts", "")
	}
	change := func(path string, in any) {
		t.Helper()
		if err := first.admin.Do(ctx, http.MethodPost, path, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	checks := func() []manage.RevocationCheck {
		return testenv.Must[[]manage.RevocationCheck](t)(manage.Get[[]manage.RevocationCheck](ctx, first.admin, "/revocation-checks"))
	}
	last := func() manage.TokenFinding {
		found := testenv.Must[manage.TokenExamination](t)(manage.Post[manage.TokenExamination](ctx, first.admin, "/tokens/examine", manage.TokenToExamine{Stage: granted, Token: told.Token})).Findings
		if user := found[len(found)-2]; user.Name() != "user" { // the guard asks for the user first
			t.Errorf("before the last: %+v", user)
		}
		return found[len(found)-1]
	}
	change("/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}})
	within(t, "revoked", http.StatusUnauthorized, call)
	if found := last(); found.Passed || found.Check != catalog.CheckRevoked {
		t.Errorf("examined: %+v", found)
	}
	change("/stages/"+granted+"/revocation-check/off", nil)
	within(t, "nobody looks", http.StatusOK, call)
	if found := last(); !found.Passed || !strings.Contains(found.Reason, "was revoked, but nobody looks") {
		t.Errorf("examined: %+v", found)
	}
	if all := checks(); len(all) == 0 || all[0].Stage != granted || !all[0].Off || all[0].Since == nil {
		t.Errorf("%+v", all)
	}
	third := first.second(t)
	if answer := bearing(third, first.site, mobile, told.Token, http.MethodGet, "/v1/accounts", ""); answer.Code != http.StatusOK {
		t.Errorf("at a server that starts anew: %d", answer.Code)
	}
	change("/stages/"+granted+"/revocation-check/on", nil)
	within(t, "switched on", http.StatusUnauthorized, call)
	change("/stages/"+granted+"/revocation-check/off", nil)
	within(t, "switched off again", http.StatusOK, call)
	change("/reset", nil)
	if all := checks(); len(all) == 0 || all[0].Off {
		t.Errorf("after a reset: %+v", all)
	}
	for _, path := range []string{"/stages/tls/revocation-check/off", "/stages/nowhere/revocation-check/off", "/stages/" + granted + "/revocation-check/maybe"} {
		if err := first.admin.Do(ctx, http.MethodPost, path, nil, nil); err == nil {
			t.Errorf("%s is done", path)
		}
	}
}
