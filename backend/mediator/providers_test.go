package mediator_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// described is a provider that is as it should be, but for what is changed.
func described(change func(*manage.Provider)) manage.Provider {
	p := manage.Provider{
		Name: "harbour", Title: "Harbour", Issuer: "https://provider.example", AuthorizationURL: "https://provider.example/authorize", TokenURL: "https://provider.example/token",
		ClientID: "mediator", Secret: "s1", ClientAuth: manage.SecretBasic, PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs,
		User: manage.UserInToken, UserClaim: "sub", SameNames: true, Apps: map[string]string{"app": "s2"}, Enabled: true,
	}
	if change != nil {
		change(&p)
	}
	return p
}

func TestManageProviders(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	added := testenv.Must[manage.Provider](t)(manage.AddProvider(t.Context(), w.manage, described(nil)))
	if added.Name != "harbour" || added.Version != 1 || added.Secret != "" || added.Apps["app"] != "" || added.RedirectURI != w.base+"/{stage}/callback/harbour" {
		t.Errorf("%+v", added)
	}
	added.PKCE = catalog.NoPKCE
	changed := testenv.Must[manage.Provider](t)(manage.ChangeProvider(t.Context(), w.manage, added)) // what was read can be sent back
	if changed.PKCE != catalog.NoPKCE || changed.Version != 2 || changed.Secret != "" {
		t.Errorf("%+v", changed)
	}
	if off := testenv.Must[manage.Provider](t)(manage.EnableProvider(t.Context(), w.manage, "harbour", false)); off.Enabled {
		t.Errorf("%+v", off)
	}
	all := testenv.Must[[]manage.Provider](t)(manage.Providers(t.Context(), w.manage))
	if len(all) != 1 || all[0].Enabled || all[0].Secret != "" {
		t.Errorf("%+v", all)
	}
	versions := testenv.Must[[]manage.ProviderVersion](t)(manage.ProviderVersions(t.Context(), w.manage, "harbour"))
	if len(versions) != 3 || !versions[1].Enabled || versions[2].PKCE != catalog.S256PKCE || versions[2].Secret != "" {
		t.Errorf("%+v", versions)
	}
	for name, tt := range map[string]struct {
		do     func() (any, error)
		status int
		words  string
		field  string
	}{
		"taken":   {func() (any, error) { return manage.AddProvider(t.Context(), w.manage, described(nil)) }, http.StatusConflict, "already", "name"},
		"late":    {func() (any, error) { return manage.ChangeProvider(t.Context(), w.manage, added) }, http.StatusConflict, "meanwhile", ""},
		"nobody":  {func() (any, error) { return manage.ProviderNamed(t.Context(), w.manage, "nobody") }, http.StatusNotFound, "no provider", ""},
		"no past": {func() (any, error) { return manage.ProviderVersions(t.Context(), w.manage, "nobody") }, http.StatusNotFound, "no provider", ""},
		"invalid": {func() (any, error) {
			return manage.AddProvider(t.Context(), w.manage, described(func(p *manage.Provider) { p.Name, p.PKCE = "third", "x" }))
		}, http.StatusUnprocessableEntity, "PKCE is", "pkce"},
		"no secrets in clear": {func() (any, error) {
			return manage.AddProvider(t.Context(), w.manage, described(func(p *manage.Provider) { p.Name, p.TokenURL = "third", "http://provider.example/token" }))
		}, http.StatusUnprocessableEntity, "https", "token_url"},
	} {
		_, err := tt.do()
		if p := new(problem.Problem); !errors.As(err, &p) || p.Status != tt.status || !strings.Contains(p.Detail, tt.words) && !strings.Contains(p.Title, tt.words) || p.Field != tt.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}
