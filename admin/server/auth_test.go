package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// grantMore makes a fake bank an authorization server with two clients, a family of refresh
// tokens and a consent.
func (b *fakeBank) grantMore() {
	now := b.now()
	used, reused := now.Add(-40*time.Minute), now.Add(-30*time.Minute)
	b.apps[0].Public, b.apps[0].RedirectURIs = true, []string{"com.harbourbank.app:/callback"}
	b.apps[1].RedirectURIs = []string{"https://ops.example/callback"}
	b.apps[1].Keys = slices.Insert(b.apps[1].Keys, 0, manage.Key{ID: "a-key-of-servers", App: "harbour-ops", Servers: true, CreatedAt: now})
	family := manage.Family{
		ID: "F1", Stage: "refresh", User: "alice", Client: "harbour-mobile", Scope: "accounts:read", Origin: "C1", Number: 23,
		BegunAt: now.Add(-time.Hour), UsedAt: used, ExpiresAt: now.Add(23 * time.Hour),
		Generations: []manage.Generation{{Number: 23, IssuedAt: used}, {Number: 22, IssuedAt: now.Add(-50 * time.Minute), UsedAt: &used, Repeated: 1}, {Number: 3, IssuedAt: now.Add(-time.Hour), UsedAt: &used, ReusedAt: &reused}},
	}
	consent := manage.Consent{ID: "C1", Stage: "refresh", User: "alice", Client: "harbour-mobile", Scope: "accounts:read rates:read", GivenAt: now.Add(-time.Hour), WidenedAt: now}
	b.tokens = []manage.Token{
		{ID: "A1", Key: "K1", Stage: "refresh", User: "alice", Client: "harbour-mobile", Scope: "accounts:read", Family: "F1", Generation: 23, IssuedAt: used, ExpiresAt: now.Add(time.Minute), Calls: 7},
	}
	b.HandleFunc("GET /families", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			list := manage.FamilyList{Families: []manage.Family{family}, Total: 1}
			if search := r.FormValue("search"); !strings.Contains(family.User, search) && search != family.ID || r.FormValue("state") == "good" && family.RevokedAt != nil {
				list = manage.FamilyList{}
			}
			programtest.Answer(w, list)
		})
	})
	b.HandleFunc("POST /families/revoke", func(w http.ResponseWriter, _ *http.Request) {
		b.locked(func() {
			at := b.now()
			family.RevokedAt, b.tokens[0].RevokedAt = &at, &at
			programtest.Answer(w, manage.Changed{Changed: 1})
		})
	})
	given := true
	b.HandleFunc("GET /consents", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			list := manage.ConsentList{Consents: []manage.Consent{consent}, Total: 1}
			if search := r.FormValue("search"); !given || !strings.Contains(consent.User, search) && search != consent.ID {
				list = manage.ConsentList{}
			}
			programtest.Answer(w, list)
		})
	})
	b.HandleFunc("POST /consents/withdraw", func(w http.ResponseWriter, _ *http.Request) {
		b.locked(func() { given = false; programtest.Answer(w, manage.Changed{Changed: 1}) })
	})
	b.HandleFunc("POST /users/{name}/end", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			i := slices.IndexFunc(b.users, func(u manage.User) bool { return u.Name == r.PathValue("name") })
			b.users[i].Consents, b.users[i].Families, b.users[i].Tokens = 0, 0, 0
		})
	})
	b.HandleFunc("GET /keys/{id}/secret", func(w http.ResponseWriter, r *http.Request) {
		programtest.Answer(w, manage.Secret{Key: r.PathValue("id"), Secret: "SECRET-OF-" + r.PathValue("id")})
	})
	b.users[0].Consents, b.users[0].Families, b.users[0].Tokens = 1, 1, 1
}

// TestClients are registered, changed, refused and accepted again; a secret is shown to who asks
// for it with a form, and in no page beside.
func TestClients(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/auth/clients").want(t, http.StatusOK, `data-client="harbour-mobile"`, "com.harbourbank.app:/callback", "confidential")
	b.get("/auth/clients?search=ops").want(t, http.StatusOK, `data-total="1"`)
	b.get("/auth/clients/nobody").want(t, http.StatusNotFound, "There is no client of this ID")
	b.get("/auth/clients/harbour-mobile").want(t, http.StatusOK, "A public client", `data-has-secret="false"`)
	b.get("/auth/clients/harbour-mobile/secret/rotate").want(t, http.StatusNotFound, "has no secret")

	fields := []string{"id", "kiosk", "name", "Kiosk", "user_agent", "Kiosk/", "scope", "rates:read", "per_second", "5", "burst", "10", "client_type", "confidential", "redirect_uris", " https://kiosk.example/a \r\n\r\nhttps://kiosk.example/b"}
	b.post("/auth/clients", append([]string{"burst", "x"}, fields...)...).want(t, http.StatusUnprocessableEntity, "Calls at once")
	b.post("/auth/clients", fields...).want(t, http.StatusSeeOther)
	kiosk := set.auth.apps[len(set.auth.apps)-1]
	if !slices.Equal(kiosk.RedirectURIs, []string{"https://kiosk.example/a", "https://kiosk.example/b"}) || kiosk.Public {
		t.Errorf("registered %+v", kiosk)
	}
	b.post("/auth/clients", fields...).want(t, http.StatusUnprocessableEntity, `aria-invalid="true"`)
	page := b.get("/auth/clients/kiosk")
	page.want(t, http.StatusOK, "A confidential client", "https://kiosk.example/b", `data-show-secret="kiosk"`)
	if strings.Contains(page.Body, "SECRET") {
		t.Error("the page shows the secret unasked")
	}
	b.post("/auth/clients/kiosk/secret").want(t, http.StatusOK, "SECRET-OF-kiosk")
	b.sure("/auth/clients/kiosk/secret/rotate?back=/auth/clients/kiosk").want(t, http.StatusSeeOther)
	b.get("/auth/clients/kiosk").want(t, http.StatusOK, "has a new secret")

	b.post("/auth/clients/kiosk", "name", "Kiosk 2", "user_agent", "Kiosk/", "per_second", "5", "burst", "10", "redirect_uris", "").want(t, http.StatusSeeOther)
	b.post("/auth/clients/kiosk/revoke", "back", "/auth/clients/kiosk").want(t, http.StatusSeeOther)
	b.get("/auth/clients/kiosk").want(t, http.StatusOK, "Kiosk 2", `data-refused="true"`, "is refused from now on", "data-undo")
	b.post("/auth/clients/kiosk/restore", "back", "/auth/clients/kiosk").want(t, http.StatusSeeOther)
	b.get("/auth/clients/kiosk").want(t, http.StatusOK, `data-refused="false"`, "accepted again")
	b.get("/audit").want(t, http.StatusOK, "register a client", "show a client secret", "rotate a client secret", "refuse a client", "accept a client", "change a client")
	if len(set.bank.apps) != 2 {
		t.Error("the resource server was asked")
	}
}

// TestSecretOfServers: the page of a client says which key is in no app, and rotates it; of each kind of
// secret it says what becomes of installed apps.
func TestSecretOfServers(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	page := b.get("/auth/clients/harbour-ops")
	page.want(t, http.StatusOK, `data-servers-key="a-key-of-servers"`, "shared by servers, in no app", "installed apps notice nothing", "The app carries it at stages ", "installed apps break", `data-refused="false"`)
	if strings.Contains(page.Body, "SECRET") {
		t.Error("the page shows a secret")
	}
	golden(t, "client", page.Body)
	golden(t, "rotate-servers-secret", b.get("/auth/clients/harbour-ops/servers/rotate").Body)
	b.get("/auth/clients/harbour-ops/secret/rotate").want(t, http.StatusOK, "Installed apps can&#39;t learn it", "each of them is shut out at stages ")
	b.get("/auth/clients/harbour-ops/servers/rotate").want(t, http.StatusOK, "Make a new secret for a-key-of-servers?", "Installed apps notice nothing")
	b.sure("/auth/clients/harbour-ops/servers/rotate?back=/auth/clients/harbour-ops").want(t, http.StatusSeeOther)
	b.get("/auth/clients/harbour-ops").want(t, http.StatusOK, "Installed apps go on as they are")
	if set.auth.rotated != 1 || set.auth.secrets["a-key-of-servers"] == "" || set.bank.rotated != 0 {
		t.Errorf("rotated: %d of %v", set.auth.rotated, len(set.auth.secrets))
	}
	b.get("/audit").want(t, http.StatusOK, "rotate a secret of servers", "a-key-of-servers")
	b.get("/auth/clients/harbour-mobile/servers/rotate").want(t, http.StatusNotFound, "Servers share no key")

	b.post("/auth/clients/harbour-ops/revoke", "back", "/auth/clients/harbour-ops").want(t, http.StatusSeeOther)
	b.get("/auth/clients").want(t, http.StatusOK, `data-client="harbour-ops" data-refused="true"`)
}

// TestFamilyAsATree: sign-in, refresh tokens, access tokens; and it is revoked after a question.
func TestFamilyAsATree(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/auth/families").want(t, http.StatusOK, `data-family="F1"`, `href="/auth/families/F1"`)
	b.get("/auth/families/F9").want(t, http.StatusNotFound)
	page := b.get("/auth/families/F1")
	page.want(t, http.StatusOK, "alice signed in", "20 older refresh tokens", `data-reused-generation="3"`, "given 1 time more", `data-token="A1"`, "7 calls", `data-revoke-family="F1"`)
	if first, last := strings.Index(page.Body, `data-generation="3"`), strings.Index(page.Body, `data-generation="23"`); first > last || strings.Index(page.Body, `data-token="A1"`) < last {
		t.Error("the tree is not in the order in which it grew")
	}
	b.get("/auth/tokens/A1").want(t, http.StatusOK, `data-family="F1"`, "refresh token 23")
	b.get("/auth/tokens/revoke?id=A1").want(t, http.StatusOK, "An app that has a refresh token gets another one by itself")
	b.get("/auth/families/revoke?id=F1").want(t, http.StatusOK, "Revoke 1 family of refresh tokens?", "alice in harbour-mobile at refresh, 23 tokens so far")
	b.sure("/auth/families/revoke?id=F1&back=/auth/families/F1").want(t, http.StatusSeeOther)
	b.get("/auth/families/F1").want(t, http.StatusOK, "1 family of refresh tokens is revoked", `data-revoked="true"`)
	b.get("/auth/families").want(t, http.StatusOK, "No refresh token is good now")
	b.get("/auth/families/revoke?back=/auth/families").want(t, http.StatusSeeOther)
	b.get("/auth/families").want(t, http.StatusOK, "Choose some first")
}

// TestConsentsAreWithdrawn, one by one and all of a user's.
func TestConsentsAreWithdrawn(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/auth/users").want(t, http.StatusOK, `data-end-all="alice"`, `href="/auth/consents?search=alice"`)
	b.get("/auth/users/nobody/end").want(t, http.StatusNotFound)
	b.get("/auth/users/alice/end").want(t, http.StatusOK, "1 family of refresh tokens")
	b.sure("/auth/users/alice/end?back=/auth/users").want(t, http.StatusSeeOther)
	if page := b.get("/auth/users"); strings.Contains(page.Body, "data-end-all") || !strings.Contains(page.Body, "All that came of alice") {
		t.Error("it is not seen that all has ended")
	}
	b.get("/auth/consents").want(t, http.StatusOK, `data-consent="C1"`, "read accounts and their transfers, read exchange rates")
	b.sure("/auth/consents/withdraw?id=C1&back=/auth/consents").want(t, http.StatusSeeOther)
	b.get("/auth/consents").want(t, http.StatusOK, "1 consent is withdrawn", "Nobody has allowed a client anything")
	b.get("/audit").want(t, http.StatusOK, "alice to harbour-mobile at refresh (C1)", "end all of a user")
}

// TestSigningKeysOfBoth: each server is asked for its own.
func TestSigningKeysOfBoth(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/auth/signing-keys/password-grant/rotate").want(t, http.StatusNotFound)
	b.get("/signing-keys/refresh/rotate").want(t, http.StatusNotFound)
	b.sure("/auth/signing-keys/refresh/rotate?back=/auth/tokens").want(t, http.StatusSeeOther)
	b.get("/auth/tokens").want(t, http.StatusOK, `data-withdraw="K1"`, "signed with a new key", `href="/tokens#revocation-checks"`)
	if len(set.bank.keys) != 1 {
		t.Error("the resource server was asked")
	}
}

// TestUnwellIsSaid on every page, in the words of the program that can't do all of its work.
func TestUnwellIsSaid(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	well := make(chan bool, 1)
	well <- false
	for _, program := range []*programtest.Program{set.bank.Program, set.auth.Program} {
		program.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
			is := <-well
			well <- is
			if !is && program == set.bank.Program {
				problem.New(http.StatusServiceUnavailable, "unhealthy", "This program can't do its work", "nothing is heard of revocations").Write(w)
			}
		})
	}
	b := newBrowser(t, set).signIn()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { set.watch.Run(ctx) })
	defer wg.Wait()
	defer stop()
	const said = `data-unwell="resource"`
	b.await("/stages", func(page string) bool { return strings.Contains(page, said) })
	b.get("/auth/tokens").want(t, http.StatusOK, "Nothing is heard of revocations.")
	if strings.Contains(b.get("/stages").Body, `data-unwell="auth"`) {
		t.Error("the authorization server is well")
	}
	<-well
	well <- true
	b.await("/stages", func(page string) bool { return !strings.Contains(page, said) })
}

// await looks at a page until it is as it should be.
func (b *browser) await(path string, is func(page string) bool) {
	b.t.Helper()
	for range 400 {
		if is(b.get(path).Body) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	b.t.Fatalf("%s does not become as it should be", path)
}
