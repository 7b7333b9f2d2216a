package authserver_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
)

func (w *managed) families(t *testing.T, q manage.FamilyQuery) manage.FamilyList {
	t.Helper()
	return testenv.Must[manage.FamilyList](t)(manage.Families(t.Context(), w.admin, q))
}

func (w *managed) tokens(t *testing.T, f manage.TokenFilter) manage.TokenList {
	t.Helper()
	return testenv.Must[manage.TokenList](t)(manage.Tokens(t.Context(), w.admin, manage.TokenQuery{TokenFilter: f}))
}

func (w *managed) consents(t *testing.T, user string) manage.ConsentList {
	t.Helper()
	return testenv.Must[manage.ConsentList](t)(manage.Consents(t.Context(), w.admin, manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{User: user}}))
}

// change makes a change, and says how many it was about.
func (w *managed) change(t *testing.T, path string, in any) int {
	t.Helper()
	return testenv.Must[manage.Changed](t)(manage.Post[manage.Changed](t.Context(), w.admin, path, in)).Changed
}

// TestFamiliesAreRevoked, and with each the access tokens that came of it, and no others.
func TestFamiliesAreRevoked(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	first, other, bob := w.signedIn(t, "alice"), w.signedIn(t, "alice"), w.signedIn(t, "bob")
	renewed := w.refresh(t, first.Refresh)
	if renewed.Status != http.StatusOK || !w.active(t, first.Access) || !w.active(t, renewed.Access) {
		t.Fatalf("%+v", renewed)
	}
	list := w.families(t, manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{User: "alice", State: "good"}, Part: manage.Part{Sort: "-number"}})
	if list.Total != 2 || list.Families[0].Number != 2 || list.Families[0].Client != web || len(list.Families[0].Generations) != 2 ||
		list.Families[0].Generations[1].UsedAt == nil || list.Families[0].Generations[0].UsedAt != nil {
		t.Fatalf("%+v", list)
	}
	family := list.Families[0].ID
	if found := w.tokens(t, manage.TokenFilter{Family: family, State: "good"}); found.Total != 2 || found.Tokens[0].Generation+found.Tokens[1].Generation != 1+2 {
		t.Errorf("access tokens of the family: %+v", found)
	}
	if n := w.change(t, "/families/revoke", manage.FamilySelection{IDs: []string{family}}); n != 1 {
		t.Errorf("%d were revoked", n)
	}
	for name, text := range map[string]string{"the first access token": first.Access, "the renewed one": renewed.Access, "the refresh token": renewed.Refresh} {
		if w.active(t, text) {
			t.Errorf("%s is active", name)
		}
	}
	if got := w.refresh(t, renewed.Refresh); got.Error != "invalid_grant" {
		t.Errorf("a refresh after that: %+v", got)
	}
	if !w.active(t, other.Access) || !w.active(t, bob.Access) {
		t.Error("another family has ended, too")
	}
	if n := w.change(t, "/families/revoke", manage.FamilySelection{All: true, FamilyFilter: manage.FamilyFilter{User: "alice"}}); n != 1 || w.active(t, other.Access) || !w.active(t, bob.Access) {
		t.Errorf("all of alice's: %d were revoked", n)
	}
	// A token that comes again is seen to have.
	next := w.refresh(t, bob.Refresh)
	if got := w.refresh(t, bob.Refresh); got.Error != "invalid_grant" || w.active(t, next.Access) {
		t.Errorf("reuse: %+v", got)
	}
	reused := w.families(t, manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "reused"}})
	if reused.Total != 1 || reused.Families[0].User != "bob" || !reused.Families[0].Reused || reused.Families[0].Generations[1].ReusedAt == nil {
		t.Errorf("%+v", reused)
	}
}

// TestConsentsAreWithdrawn, and with each all that came of it.
func TestConsentsAreWithdrawn(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	alice, bob := w.signedIn(t, "alice"), w.signedIn(t, "bob")
	given := w.consents(t, "alice")
	if given.Total != 1 || given.Consents[0].Client != web || given.Consents[0].Stage != refresh {
		t.Fatalf("%+v", given)
	}
	code := w.beginSignIn(t, "alice")() // she isn't asked again, and has not come back yet
	if code == "" {
		t.Fatal("no code")
	}
	if n := w.change(t, "/consents/withdraw", manage.ConsentSelection{IDs: []string{given.Consents[0].ID}}); n != 1 {
		t.Errorf("%d were withdrawn", n)
	}
	if w.active(t, alice.Access) || w.refresh(t, alice.Refresh).Error != "invalid_grant" || w.redeem(t, code).Error != "invalid_grant" {
		t.Error("something that came of it is good")
	}
	if w.consents(t, "alice").Total != 0 || !w.active(t, bob.Access) {
		t.Error("the wrong one was withdrawn")
	}
	if n := w.change(t, "/consents/withdraw", manage.ConsentSelection{All: true}); n != 1 || w.active(t, bob.Access) {
		t.Errorf("all: %d", n)
	}
}

// TestAllOfAUserEnds: what was given, and a sign-in that is under way.
func TestAllOfAUserEnds(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	bob := w.signedIn(t, "bob")
	allow := w.beginSignIn(t, "alice")
	first := w.signedIn(t, "alice")
	list := testenv.Must[manage.UserList](t)(manage.Users(t.Context(), w.admin, manage.UserQuery{Part: manage.Part{Sort: "-families"}}))
	for _, user := range list.Users {
		if user.Name != "carol" && (user.Tokens != 1 || user.Families != 1 || user.Consents != 1) {
			t.Errorf("%+v", user)
		}
	}
	if list.Total != 3 {
		t.Errorf("%+v", list)
	}
	if err := w.admin.Do(t.Context(), http.MethodPost, "/users/alice/end", nil, nil); err != nil {
		t.Fatal(err)
	}
	if w.active(t, first.Access) || w.active(t, first.Refresh) || w.consents(t, "alice").Total != 0 {
		t.Error("something of hers is left")
	}
	if code := allow(); code != "" {
		t.Error("the sign-in that was under way led to a code")
	}
	if !w.active(t, bob.Access) || w.consents(t, "bob").Total != 1 {
		t.Error("something of bob's has ended")
	}
}

// TestTokensAndKeysAreManaged: tokens are listed, taken apart and revoked, and what signs them is
// replaced.
func TestTokensAndKeysAreManaged(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	alice := w.signedIn(t, "alice")
	list := w.tokens(t, manage.TokenFilter{Stage: refresh, State: "good", Search: "alice"})
	if list.Total != 1 || list.Tokens[0].Family == "" || list.Tokens[0].Origin == "" {
		t.Fatalf("%+v", list)
	}
	examined := testenv.Must[manage.TokenExamination](t)(manage.Post[manage.TokenExamination](t.Context(), w.admin, "/tokens/examine", manage.TokenToExamine{Stage: refresh, Token: alice.Access}))
	for _, f := range examined.Findings {
		if !f.Passed {
			t.Errorf("%+v", f)
		}
	}
	if examined.Subject != "alice" {
		t.Errorf("%+v", examined)
	}
	// The resource server tells how often it was used there.
	resource := testenv.Must[*manage.Client](t)(manage.NewClient(w.folder(t, deployment.Resource), deployment.Auth))
	for range 2 {
		if err := resource.Do(t.Context(), http.MethodPost, "/tokens/uses", []map[string]any{{"token": list.Tokens[0].ID, "calls": 3, "last": time.Now()}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if used := w.tokens(t, manage.TokenFilter{}); used.Tokens[0].Calls != 6 || used.Tokens[0].LastUsedAt == nil {
		t.Errorf("%+v", used)
	}
	keys := testenv.Must[[]manage.SigningKey](t)(manage.Get[[]manage.SigningKey](t.Context(), w.admin, "/signing-keys"))
	testenv.Must[manage.SigningKey](t)(manage.Post[manage.SigningKey](t.Context(), w.admin, "/stages/"+refresh+"/signing-keys", nil))
	if !w.active(t, alice.Access) {
		t.Error("a new key has ended a token")
	}
	if err := w.admin.Do(t.Context(), http.MethodPost, "/signing-keys/"+keys[slices.IndexFunc(keys, func(k manage.SigningKey) bool { return k.Stage == refresh })].ID+"/withdraw", nil, nil); err != nil {
		t.Fatal(err)
	}
	if w.active(t, alice.Access) {
		t.Error("a token of the key that was withdrawn is good")
	}
	next := w.refresh(t, alice.Refresh)
	if n := w.change(t, "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}); n != 2 || w.active(t, next.Access) {
		t.Errorf("%d were revoked", n)
	}
	if got := w.refresh(t, next.Refresh); got.Status != http.StatusOK {
		t.Errorf("the family has ended with its access tokens: %+v", got)
	}
}

// TestClientsAreManaged: redirect URIs and secrets hold from the next request on.
func TestClientsAreManaged(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	ctx := t.Context()
	registered := testenv.Must[manage.App](t)(manage.Post[manage.App](ctx, w.admin, "/apps", manage.App{
		ID: "tester", Name: "Tester", UserAgent: "Tester/", Scopes: []string{"rates:read"}, PerSecond: 10, Burst: 10,
		RedirectURIs: []string{"https://tester.example/back"}, Public: true,
	}))
	if !registered.Public || len(registered.RedirectURIs) != 1 {
		t.Errorf("%+v", registered)
	}
	authorize := func(client, redirect string) int {
		resp := testenv.Must[*http.Response](t)(w.userAgent(t).Get(w.url + "/authorize?" + url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirect}}.Encode()))
		resp.Body.Close()
		return resp.StatusCode
	}
	if status := authorize("tester", "https://tester.example/back"); status != http.StatusOK {
		t.Errorf("at the URI that was registered: %d", status)
	}
	uris := []string{"https://tester.example/other"}
	if err := w.admin.Do(ctx, http.MethodPatch, "/apps/tester", manage.AppChange{RedirectURIs: &uris}, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := authorize("tester", "https://tester.example/back"), authorize("tester", uris[0]); a != http.StatusBadRequest || b != http.StatusOK {
		t.Errorf("at the old URI %d, at the new one %d", a, b)
	}
	if err := w.admin.Do(ctx, http.MethodPost, "/keys/tester/revoke", nil, nil); err != nil {
		t.Fatal(err)
	}
	if status := authorize("tester", uris[0]); status != http.StatusBadRequest {
		t.Errorf("a client that was revoked: %d", status)
	}
	testenv.Must[manage.Secret](t)(manage.Post[manage.Secret](ctx, w.admin, "/keys/"+web+"/secret", nil))
	secret := testenv.Must[manage.Secret](t)(manage.Get[manage.Secret](ctx, w.admin, "/keys/"+web+"/secret")).Secret
	for name, test := range map[string]struct {
		secret string
		want   int
	}{"the new secret": {secret, 400}, "a wrong one": {"guess", 401}} {
		if got := w.post(t, "/token", test.secret, url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {webURI}}); got.Status != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if log := w.lines.String(); strings.Contains(log, secret) || !strings.Contains(log, "path=/keys/"+web+"/secret by=admin outcome=done") || strings.Contains(log, "/tokens/uses") {
		t.Errorf("logged: %s", log)
	}
}

// TestReset brings back what there was at first.
func TestReset(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	ctx := t.Context()
	alice := w.signedIn(t, "alice")
	allow := w.beginSignIn(t, "bob")
	testenv.Must[manage.Secret](t)(manage.Post[manage.Secret](ctx, w.admin, "/keys/"+web+"/secret", nil))
	if err := w.admin.Do(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
		t.Fatal(err)
	}
	if allow() != "" {
		t.Error("a sign-in of before goes on")
	}
	if w.active(t, alice.Access) || w.refresh(t, alice.Refresh).Error != "invalid_grant" {
		t.Error("a token of before is good")
	}
	usage := testenv.Must[[]manage.Usage](t)(manage.Get[[]manage.Usage](ctx, w.admin, "/usage"))
	for _, u := range usage {
		if strings.Contains(u.Route, "authorize") {
			t.Errorf("usage of before: %+v", u)
		}
	}
	if w.tokens(t, manage.TokenFilter{}).Total+w.families(t, manage.FamilyQuery{}).Total+w.consents(t, "").Total != 0 {
		t.Error("something is left")
	}
	w.signedIn(t, "alice") // with the first secret
}

func TestManagementRefuses(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	for name, test := range map[string]struct {
		method, path string
		in           any
		status       int
	}{
		"all families, by a selection of nothing": {"POST", "/families/revoke", manage.FamilySelection{}, 422},
		"all consents":                   {"POST", "/consents/withdraw", manage.ConsentSelection{}, 422},
		"all tokens":                     {"POST", "/tokens/revoke", manage.TokenSelection{}, 422},
		"a state that there is not":      {"POST", "/families/revoke", manage.FamilySelection{FamilyFilter: manage.FamilyFilter{State: "some"}}, 400},
		"a list by that state":           {"GET", "/families?state=some", nil, 400},
		"an order that there is not":     {"GET", "/families?sort=colour", nil, 400},
		"the same of consents":           {"GET", "/consents?sort=colour", nil, 400},
		"the same of users":              {"GET", "/users?sort=colour", nil, 400},
		"too many":                       {"GET", "/consents?limit=1001", nil, 400},
		"an unknown user":                {"POST", "/users/nobody/end", nil, 404},
		"an unknown stage":               {"POST", "/stages/nowhere/signing-keys", nil, 404},
		"a token of no stage":            {"POST", "/tokens/examine", manage.TokenToExamine{Stage: "tls"}, 404},
		"the secret of a public client":  {"GET", "/keys/" + native + "/secret", nil, 404},
		"a redirect URI with a wildcard": {"PATCH", "/apps/" + web, manage.AppChange{RedirectURIs: &[]string{"https://*.example/"}}, 422},
	} {
		err := w.admin.Do(t.Context(), test.method, test.path, test.in, nil)
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status != test.status {
			t.Errorf("%s: %v, want %d", name, err, test.status)
		}
	}
}

// TestManagementIsForTheAdmin: the resource server may read the feeds and tell how often tokens
// were used, and nobody else may.
func TestManagementIsForTheAdmin(t *testing.T) {
	t.Parallel()
	w := startManaged(t)
	feeds := []string{"GET /clients/feed", "GET /clients/state", "GET /tokens/feed", "GET /tokens/keys", "GET /tokens/revoked", "POST /tokens/uses"}
	admins := []string{
		"GET /apps", "POST /apps", "PATCH /apps/x", "GET /tiers", "POST /keys/x/revoke", "POST /keys/x/restore", "POST /keys/x/secret", "GET /keys/x/secret",
		"GET /users", "POST /users/x/end", "POST /users/x/failed-sign-ins/clear", "GET /tokens", "POST /tokens/revoke", "POST /tokens/examine",
		"GET /families", "POST /families/revoke", "GET /consents", "POST /consents/withdraw", "GET /signing-keys", "POST /signing-keys/x/withdraw",
		"POST /stages/x/signing-keys", "GET /usage", "POST /reset",
	}
	for _, role := range []deployment.Role{deployment.Auth, deployment.Resource, deployment.Admin} {
		client := testenv.Must[*manage.Client](t)(manage.NewClient(w.folder(t, role), deployment.Auth))
		for routes, opens := range map[*[]string]bool{&feeds: role == deployment.Resource, &admins: role == deployment.Admin} {
			for _, route := range *routes {
				method, path, _ := strings.Cut(route, " ")
				if route == "POST /reset" && opens {
					continue // it would
				}
				err := client.Do(t.Context(), method, path, []string{}, nil)
				var p *problem.Problem
				if refused := errors.As(err, &p) && p.Status == http.StatusForbidden; refused == opens {
					t.Errorf("%s as %s: %v", route, role, err)
				}
			}
		}
	}
}
