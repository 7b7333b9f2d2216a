package providers_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/mediator/providers"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// described is a provider that is as it should be, but for what is changed.
func described(change func(*manage.Provider)) manage.Provider {
	p := manage.Provider{
		Name: "harbour", Title: "Harbour", Issuer: "{auth}/{stage}", AuthorizationURL: "{auth}/{stage}/authorize", TokenURL: "https://provider.example/token",
		RevocationURL: "http://127.0.0.1:9000/revoke", UserinfoURL: "https://provider.example/userinfo", IntrospectionURL: "https://provider.example/introspect",
		ClientID: "mediator", Secret: "s1", ClientAuth: manage.SecretBasic, PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs,
		Scopes: map[string]string{"accounts:read": "openid accounts"}, Fields: map[string]string{"expires_in": "expires"},
		User: manage.UserInToken, UserClaim: "sub", Links: map[string]string{"u1": "alice"}, Apps: map[string]string{"app": "s2"}, Enabled: true,
	}
	if change != nil {
		change(&p)
	}
	return p
}

var addresses = deployment.Addresses{Public: map[deployment.ServiceName]string{
	deployment.AuthServer: "https://localhost:8444", deployment.MediatorService: "https://localhost:8447",
}}

func open(t *testing.T, path string) *providers.Store {
	t.Helper()
	db, err := store.Open(path, slices.Concat(providers.Models(), durable.Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	s, err := providers.Open(t.Context(), db, providers.Config{Seed: []manage.Provider{described(nil)}, Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fresh(t *testing.T) *providers.Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "providers.db"))
}

func named(t *testing.T, s *providers.Store, name string) manage.Provider {
	t.Helper()
	p, ok := s.Named(name, "s1")
	if !ok {
		t.Fatalf("there is no provider %s", name)
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestURLsAreOfAStage(t *testing.T) {
	t.Parallel()
	p := named(t, fresh(t), "harbour")
	for got, want := range map[string]string{
		p.Issuer: "https://localhost:8444/s1", p.AuthorizationURL: "https://localhost:8444/s1/authorize", p.TokenURL: "https://provider.example/token",
		p.RedirectURI: "https://localhost:8447/s1/callback/harbour",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What can't work, or would send a secret in the clear, is not kept.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for name, change := range map[string]func(*manage.Provider){
		"a path as name":            func(p *manage.Provider) { p.Name = "a/b" },
		"no name":                   func(p *manage.Provider) { p.Name = "" },
		"no title":                  func(p *manage.Provider) { p.Title = " " },
		"no client":                 func(p *manage.Provider) { p.ClientID = "" },
		"no secret":                 func(p *manage.Provider) { p.Secret = "" },
		"unknown authentication":    func(p *manage.Provider) { p.ClientAuth = "none" },
		"unknown PKCE":              func(p *manage.Provider) { p.PKCE = "s256" },
		"unknown tokens":            func(p *manage.Provider) { p.Tokens = "" },
		"unknown source of users":   func(p *manage.Provider) { p.User = "id_token" },
		"no claim":                  func(p *manage.Provider) { p.UserClaim = "" },
		"user in an opaque token":   func(p *manage.Provider) { p.Tokens = catalog.OpaqueTokens },
		"no userinfo":               func(p *manage.Provider) { p.User, p.UserinfoURL = manage.UserInUserinfo, "" },
		"no introspection":          func(p *manage.Provider) { p.User, p.IntrospectionURL = manage.UserInIntrospection, "" },
		"http to another machine":   func(p *manage.Provider) { p.TokenURL = "http://provider.example/token" },
		"http to a look-alike":      func(p *manage.Provider) { p.TokenURL = "http://127.0.0.1.example/token" },
		"no URL":                    func(p *manage.Provider) { p.AuthorizationURL = "" },
		"a user in a URL":           func(p *manage.Provider) { p.TokenURL = "https://localhost@provider.example/" },
		"a fragment":                func(p *manage.Provider) { p.AuthorizationURL += "#a" },
		"a script":                  func(p *manage.Provider) { p.AuthorizationURL = "javascript:alert(1)//" },
		"an unknown service":        func(p *manage.Provider) { p.TokenURL = "{nowhere}/token" },
		"a service that has a host": func(p *manage.Provider) { p.TokenURL = "{auth}.provider.example/token" },
		"an unknown place":          func(p *manage.Provider) { p.TokenURL = "https://provider.example/{user}" },
		"the stage as host":         func(p *manage.Provider) { p.TokenURL = "{stage}/token" },
		"a scope that is none":      func(p *manage.Provider) { p.Scopes = map[string]string{"accounts:read": `a"b`} },
		"an empty scope":            func(p *manage.Provider) { p.Scopes = map[string]string{"accounts:read": " "} },
		"an unknown field":          func(p *manage.Provider) { p.Fields = map[string]string{"id_token": "a"} },
		"a link to nobody":          func(p *manage.Provider) { p.Links = map[string]string{"u1": ""} },
		"an app without a secret":   func(p *manage.Provider) { p.Apps = map[string]string{"app2": ""} },
	} {
		added := described(func(p *manage.Provider) { p.Name = "other" })
		change(&added)
		if err := s.Add(t.Context(), added); !errors.Is(err, providers.ErrInvalid) {
			t.Errorf("%s, added: %v", name, err)
		}
	}
	if got := s.Enabled("s1"); len(got) != 1 {
		t.Errorf("there are %d providers", len(got))
	}
	must(t, s.Add(t.Context(), described(func(p *manage.Provider) { p.Name = "other" })))
	if err := s.Add(t.Context(), described(func(p *manage.Provider) { p.Name = "other" })); !errors.Is(err, providers.ErrTaken) {
		t.Errorf("added twice: %v", err)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	change := func(version int, apply func(*manage.Provider)) error {
		return s.Change(t.Context(), described(func(p *manage.Provider) {
			p.Secret, p.Apps, p.Version = "", map[string]string{"app": ""}, version
			apply(p)
		}))
	}
	must(t, change(1, func(p *manage.Provider) { p.ClientAuth = manage.SecretPost }))
	got := named(t, s, "harbour")
	if got.Secret != "s1" || got.Apps["app"] != "s2" || got.ClientAuth != manage.SecretPost || got.Version != 2 {
		t.Errorf("secrets that were not given are %q and %q, and it is %+v", got.Secret, got.Apps["app"], got)
	}
	if err := change(1, func(p *manage.Provider) { p.Title = "Late" }); !errors.Is(err, providers.ErrVersion) {
		t.Errorf("changed what was changed meanwhile: %v", err)
	}
	must(t, change(2, func(p *manage.Provider) { p.Secret = "s3" }))
	must(t, s.Enable(t.Context(), "harbour", false))
	must(t, s.Enable(t.Context(), "harbour", false))
	if len(s.Enabled("s1")) != 0 {
		t.Error("it is offered although it was disabled")
	}
	if err := s.Enable(t.Context(), "nobody", true); !errors.Is(err, providers.ErrNone) {
		t.Errorf("enabled what there is not: %v", err)
	}
	versions, err := s.Versions(t.Context(), "harbour")
	must(t, err)
	var secrets []bool
	var numbers []int
	for _, v := range versions {
		numbers, secrets = append(numbers, v.Version), append(secrets, v.SecretChanged)
		if v.Secret != "" || v.Apps["app"] != "" {
			t.Errorf("version %d shows a secret", v.Version)
		}
	}
	if diff := cmp.Diff([]int{4, 3, 2, 1}, numbers) + cmp.Diff([]bool{false, true, false, false}, secrets); diff != "" {
		t.Error(diff)
	}
	must(t, s.Reset(t.Context()))
	if got := named(t, s, "harbour"); got.Version != 1 || got.Secret != "s1" || !got.Enabled {
		t.Errorf("after the reset it is %+v", got)
	}
}

// A database that had providers keeps what was made of them, also when none is left as it was.
func TestSeedsOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "providers.db")
	first := open(t, path)
	must(t, first.Enable(t.Context(), "harbour", false))
	if got := named(t, open(t, path), "harbour"); got.Enabled || got.Version != 2 {
		t.Errorf("a second process has %+v", got)
	}
}

// Another process that has the database open uses a change within a second.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "providers.db")
	first, second := open(t, path), open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { second.Follow(ctx); close(done) }()
	must(t, first.Add(t.Context(), described(func(p *manage.Provider) { p.Name = "other" })))
	testenv.Within(t, 5*time.Second, "the other process knows it", func() bool { _, ok := second.Named("other", "s1"); return ok })
	cancel()
	<-done
}
