package server

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// fakeMediator is the mediator's side.
type fakeMediator struct {
	*programtest.Program
	mu        sync.Mutex
	now       func() time.Time
	providers map[string][]manage.ProviderVersion // the oldest first
	sessions  []manage.MediatorSession
	resets    int
}

func newFakeMediator(now func() time.Time) *fakeMediator {
	m := &fakeMediator{Program: programtest.New("mediator"), now: now, providers: map[string][]manage.ProviderVersion{}}
	for _, p := range []manage.Provider{
		{
			Name: "bank", Title: "Harbour Bank", Issuer: "{auth}/{stage}", AuthorizationURL: "{auth}/{stage}/authorize", TokenURL: "{auth}/{stage}/token",
			ClientID: "harbour-mediator", ClientAuth: manage.SecretBasic, PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs,
			User: manage.UserInToken, UserClaim: "sub", SameNames: true, Enabled: true,
		},
		{
			Name: "lite", Title: "Harbour Lite", Issuer: "{lite}/{stage}", AuthorizationURL: "{lite}/{stage}/authorize", TokenURL: "{lite}/{stage}/token", IntrospectionURL: "{lite}/{stage}/introspect",
			ClientID: "harbour-mediator", ClientAuth: manage.SecretPost, PKCE: catalog.NoPKCE, Tokens: catalog.OpaqueTokens, Scopes: map[string]string{"accounts:read": "accounts"},
			Fields: map[string]string{"expires_in": "expires"}, User: manage.UserInIntrospection, UserClaim: "username", Links: map[string]string{"ann": "alice"},
			Apps: map[string]string{"harbour-mobile": ""}, Enabled: true,
		},
	} {
		m.write(p)
	}
	m.HandleFunc("GET /providers", func(w http.ResponseWriter, _ *http.Request) {
		m.locked(func() {
			all := []manage.Provider{}
			for _, name := range slices.Sorted(maps.Keys(m.providers)) {
				all = append(all, m.latest(name))
			}
			programtest.Answer(w, all)
		})
	})
	m.HandleFunc("POST /providers", func(w http.ResponseWriter, r *http.Request) { m.take(w, r, true) })
	m.HandleFunc("POST /providers/{name}", func(w http.ResponseWriter, r *http.Request) { m.take(w, r, false) })
	m.HandleFunc("GET /providers/{name}", func(w http.ResponseWriter, r *http.Request) {
		m.known(w, r, func(name string) { programtest.Answer(w, m.latest(name)) })
	})
	m.HandleFunc("GET /providers/{name}/versions", func(w http.ResponseWriter, r *http.Request) {
		m.known(w, r, func(name string) {
			versions := slices.Clone(m.providers[name])
			slices.Reverse(versions)
			programtest.Answer(w, versions)
		})
	})
	for action, enabled := range map[string]bool{"enable": true, "disable": false} {
		m.HandleFunc("POST /providers/{name}/"+action, func(w http.ResponseWriter, r *http.Request) {
			m.known(w, r, func(name string) {
				p := m.latest(name)
				p.Enabled = enabled
				programtest.Answer(w, m.write(p))
			})
		})
	}
	m.HandleFunc("GET "+manage.MediatorSessionsPath, m.list)
	m.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { m.locked(func() { m.resets++ }) })
	return m
}

func (m *fakeMediator) locked(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
}

func (m *fakeMediator) latest(name string) manage.Provider {
	versions := m.providers[name]
	return versions[len(versions)-1].Provider
}

// write writes a version down, without its secrets.
func (m *fakeMediator) write(p manage.Provider) manage.Provider {
	versions := m.providers[p.Name]
	v := manage.ProviderVersion{Provider: p, SecretChanged: len(versions) > 0 && p.Secret != ""}
	v.Secret, v.Version, v.ChangedAt = "", len(versions)+1, m.now()
	v.RedirectURI = "https://localhost:8447/{stage}/callback/" + p.Name
	m.providers[p.Name] = append(versions, v)
	return v.Provider
}

func (m *fakeMediator) known(w http.ResponseWriter, r *http.Request, do func(name string)) {
	m.locked(func() {
		if name := r.PathValue("name"); len(m.providers[name]) > 0 {
			do(name)
			return
		}
		manageProblem(http.StatusNotFound, "There is nothing to change", "there is no provider of that name", "").Write(w)
	})
}

func manageProblem(status int, title, detail, field string) *problem.Problem {
	p := problem.New(status, "refused", title, detail)
	p.Field = field
	return p
}

func (m *fakeMediator) take(w http.ResponseWriter, r *http.Request, fresh bool) {
	var p manage.Provider
	_ = json.NewDecoder(r.Body).Decode(&p)
	m.locked(func() {
		versions := m.providers[p.Name]
		switch {
		case fresh && len(versions) > 0:
			manageProblem(http.StatusConflict, "There is such a provider already", "Choose another name.", "name").Write(w)
		case !fresh && p.Version != len(versions):
			manageProblem(http.StatusConflict, "The provider was changed meanwhile", "Look at it as it is now, and change that.", "").Write(w)
		case !strings.HasPrefix(p.TokenURL, "https://") && !strings.HasPrefix(p.TokenURL, "{"):
			manageProblem(http.StatusUnprocessableEntity, "The provider can't be like that", "it is not one of https.", "token_url").Write(w)
		default:
			programtest.Answer(w, m.write(p))
		}
	})
}

func (m *fakeMediator) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	fits := func(s manage.MediatorSession) bool {
		return (q.Get("provider") == "" || q.Get("provider") == s.Provider) && (q.Get("stage") == "" || q.Get("stage") == s.Stage) &&
			(q.Get("state") == "" || (q.Get("state") == "good") == (s.EndedAt == nil)) &&
			(q.Get("search") == "" || s.ID == q.Get("search") || strings.Contains(s.User+s.Subject+s.Device, q.Get("search")))
	}
	m.locked(func() {
		list := manage.MediatorSessionList{Sessions: []manage.MediatorSession{}}
		for _, s := range m.sessions {
			if fits(s) {
				list.Sessions = append(list.Sessions, s)
			}
		}
		slices.SortFunc(list.Sessions, func(a, b manage.MediatorSession) int { return cmp.Compare(a.ID, b.ID) })
		list.Total = len(list.Sessions)
		programtest.Answer(w, list)
	})
}
