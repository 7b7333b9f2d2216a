package server

import (
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
	*fakeBank // as which it issues access tokens
	mu        sync.Mutex
	providers map[string][]manage.ProviderVersion // the oldest first
	sessions  []manage.MediatorSession
	gateway   *manage.Gateway // nil: there is none
}

func newFakeMediator(now func() time.Time) *fakeMediator {
	m := &fakeMediator{fakeBank: newFakeBank("mediator", now), providers: map[string][]manage.ProviderVersion{}}
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
	m.HandleFunc("POST "+manage.MediatorSessionsPath+"/end", m.end)
	m.HandleFunc("GET "+manage.GatewayPath, func(w http.ResponseWriter, _ *http.Request) {
		m.locked(func() {
			if m.gateway == nil {
				manageProblem(http.StatusNotFound, "Not Found", "", "").Write(w)
				return
			}
			programtest.Answer(w, m.gateway)
		})
	})
	m.HandleFunc("PATCH "+manage.GatewayPath+"/waf", func(w http.ResponseWriter, r *http.Request) {
		var change manage.WAFChange
		_ = json.NewDecoder(r.Body).Decode(&change)
		m.locked(func() {
			now := m.now()
			m.gateway.WAF = manage.WAF{Checked: m.gateway.WAF.Checked, Refused: m.gateway.WAF.Refused}
			if m.gateway.WAF.On = change.On; change.On {
				m.gateway.WAF.Rules, m.gateway.WAF.Since = 680, &now
			}
			programtest.Answer(w, m.gateway.WAF)
		})
	})
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
		slices.SortFunc(list.Sessions, func(a, b manage.MediatorSession) int { return b.BegunAt.Compare(a.BegunAt) })
		list.Total = len(list.Sessions)
		programtest.Answer(w, list)
	})
}

// end ends sessions, the families that came of them, and their access tokens.
func (m *fakeMediator) end(w http.ResponseWriter, r *http.Request) {
	var selection manage.MediatorSessionSelection
	_ = json.NewDecoder(r.Body).Decode(&selection)
	now, count := m.now(), 0
	m.locked(func() {
		for i := range m.sessions {
			s := &m.sessions[i]
			if s.EndedAt != nil || !selection.All && !slices.Contains(selection.IDs, s.ID) {
				continue
			}
			count++
			s.EndedAt, s.Reason = &now, "ended by an admin"
			if s.Family != nil {
				s.Family.RevokedAt = &now
			}
		}
	})
	programtest.Answer(w, manage.Changed{Changed: count})
}

// signIn has users be signed in at providers.
func (m *fakeMediator) signIn() {
	now := m.now()
	used := now.Add(-time.Minute)
	m.locked(func() {
		m.sessions = []manage.MediatorSession{
			{
				ID: "SIGNIN1", Stage: "extended-mediator", User: "alice", Subject: "ann", Client: "harbour-mobile", Device: "PHONE", Provider: "lite",
				BegunAt: now.Add(-2 * time.Minute), RenewedAt: &used, Renewals: 1, ProviderExpiresAt: now.Add(time.Hour), KeepsTokens: true,
				Family: &manage.Family{
					ID: "MF1", Stage: "extended-mediator", User: "alice", Client: "harbour-mobile", Scope: "accounts:read", Origin: "SIGNIN1", Device: "PHONE",
					BegunAt: now.Add(-2 * time.Minute), UsedAt: used, ExpiresAt: now.Add(time.Hour), Number: 2,
					Generations: []manage.Generation{{Number: 2, IssuedAt: used}, {Number: 1, IssuedAt: now.Add(-2 * time.Minute), UsedAt: &used}},
				},
			},
			{
				ID: "SIGNIN2", Stage: "extended-mediator", User: "bob", Subject: "bob", Client: "harbour-mobile", Device: "TABLET", Provider: "bank",
				BegunAt: now.Add(-time.Hour), ProviderExpiresAt: now.Add(-time.Minute), KeepsTokens: true,
			},
		}
	})
	m.fakeBank.locked(func() {
		m.tokens = append(m.tokens, manage.Token{
			ID: "MT1", Key: "K1", Stage: "extended-mediator", User: "alice", Client: "harbour-mobile", Scope: "accounts:read", Issuer: "https://localhost:8447/extended-mediator", Audience: "https://localhost:8447/extended-mediator/v1",
			Family: "MF1", Generation: 2, Origin: "SIGNIN1", IssuedAt: used, ExpiresAt: now.Add(time.Minute), Calls: 3,
		})
	})
}

// forward has the mediator be a gateway that was used.
func (m *fakeMediator) forward() {
	now := m.now()
	asked, until := now.Add(-5*time.Second), now.Add(25*time.Second)
	m.locked(func() {
		m.gateway = &manage.Gateway{
			Stages: []string{"extended-mediator"}, Upstream: "https://localhost:8451", Since: now.Add(-time.Hour), Checked: now,
			Routes: []manage.GatewayRoute{
				{Method: "GET", Path: "/v1/accounts", By: "resource"}, {Method: "POST", Path: "/v1/transfers", By: "resource"}, {Method: "GET", Path: "/v1/market-rates", By: "rates"},
			},
			Forwarded: 1234, SentAgain: 2, Failed: 1, Refused: 7, Subrequests: 3, WAF: manage.WAF{Checked: 40, Refused: 4},
			Rates: manage.GatewayRates{URL: "https://localhost:8449/v1/market-rates", Key: true, At: &asked, Until: &until},
		}
	})
	m.fakeBank.locked(func() {
		m.usage = nil
		for _, u := range []manage.Usage{
			{App: "harbour-mobile", Route: "GET /v1/accounts", Served: 1200, Refused: 5}, {Route: "GET /v1/accounts", Refused: 30}, {App: "harbour-mobile", Route: "POST /par", Served: 9, Refused: 1},
		} {
			u.Day, u.Stage = now.UTC().Format(time.DateOnly), "extended-mediator"
			m.usage = append(m.usage, u)
		}
	})
}

// fakeRates is the third party's rates API.
type fakeRates struct {
	*programtest.Program
}

func newFakeRates(now func() time.Time) *fakeRates {
	r := &fakeRates{Program: programtest.New("rates")}
	r.HandleFunc("GET "+manage.QuotasPath, func(w http.ResponseWriter, _ *http.Request) {
		programtest.Answer(w, []manage.Quota{
			{Customer: "Harbour Bank", Window: "minute", Calls: 60, Used: 60, Ends: now().Add(20 * time.Second)},
			{Customer: "Harbour Bank", Window: "day", Calls: 10000, Used: 1234, Ends: now().Add(5 * time.Hour)},
		})
	})
	r.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) {})
	return r
}
