package issuer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/clients"
	"keyladder/backend/codes"
	"keyladder/backend/grants"
	"keyladder/backend/guard"
	"keyladder/backend/mediator/oauthclient"
	"keyladder/backend/mediator/providers"
	"keyladder/backend/mediator/secrets"
	"keyladder/backend/mediator/sessions"
	"keyladder/backend/mediator/signins"
	"keyladder/backend/oauth"
	"keyladder/backend/refresh"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/deployment"
	"keyladder/internal/problem"
	"keyladder/internal/store"
	"keyladder/stages/catalog"
)

// Config is what an issuer needs.
type Config struct {
	Addresses deployment.Addresses
	DB        *gorm.DB // with the tables of [Models], and those of providers and tokens
	Key       *secrets.Key
	Clients   *clients.Book
	Providers *providers.Store
	Tokens    *tokens.Store
	Client    *oauthclient.Client
	Proofs    *guard.Proofs                                   // of clients that have a key; nil: no stage asks for any
	Limit     func(client, device string, at time.Time) error // refuses what an installation asks for too often

	CodeLifetime    time.Duration
	PushedLifetime  time.Duration // of a request_uri: the app opens it at once
	RefreshIdle     time.Duration
	RefreshLifetime time.Duration

	Logger *slog.Logger
	Now    func() time.Time
}

// Bounds that no admin has to know.
const (
	signInLife   = 10 * time.Minute // of a sign-in, which people do by hand
	repeatWithin = time.Minute      // for which the lost answer to a refresh can be asked for again
	renewalHold  = 20 * time.Second // longer than a provider may take for an answer
	aloneLife    = 12 * time.Hour   // of a session that has lost the tokens of its provider (package sessions)
)

// Models are the issuer's tables, without those of providers and tokens.
func Models() []any {
	return slices.Concat(codes.Models(), refresh.Models(), sessions.Models(), signins.Models())
}

// Server is the issuer.
type Server struct {
	config   Config
	writers  *store.Group
	codes    *codes.Store
	families *refresh.Store
	sessions *sessions.Store
	signIns  *signins.Store
	endpoint *grants.Endpoint
	wake     chan struct{} // there is something to give back
}

// New makes an issuer.
func New(ctx context.Context, config Config) (*Server, error) {
	s := &Server{
		config: config, writers: store.NewGroup(config.DB), wake: make(chan struct{}, 1),
		sessions: sessions.Open(config.DB, sessions.Config{Key: config.Key, Hold: renewalHold}),
		signIns:  signins.Open(config.DB, signins.Config{Pushed: config.PushedLifetime, Lifetime: signInLife}),
	}
	var err error
	if s.codes, err = codes.Open(ctx, config.DB, codes.Config{Lifetime: config.CodeLifetime, Now: config.Now}); err != nil {
		return nil, err
	}
	s.families, err = refresh.Open(ctx, config.DB, refresh.Config{Idle: config.RefreshIdle, Absolute: config.RefreshLifetime, Repeat: repeatWithin, Now: config.Now})
	if err != nil {
		return nil, err
	}
	s.endpoint = &grants.Endpoint{
		Server:  catalog.MediatorIssuer,
		Clients: config.Clients, Tokens: config.Tokens, Refresh: s.families, Issuer: s.issuer,
		Grants:   []grants.Grant{grants.Code(s.codes, customer, asAllowed, s.end), s.refreshing()},
		Identify: s.identify, Ended: s.givenBack,
	}
	return s, nil
}

// customer is a user who was proven elsewhere. Their consent there says what apps may
// do for them, and the API looks at that with each call.
func customer(name string) *users.User { return users.Elsewhere(name, clients.Scopes()) }

// asAllowed is what the user has allowed when the code was issued: it is a minute old at most.
func asAllowed(_ *gorm.DB, c codes.Code) ([]string, error) { return strings.Fields(c.Scope), nil }

// Issuing says whether the mediator issues the access tokens of a stage.
func Issuing(p catalog.Policies) bool { return p.Auth.Issuer == catalog.MediatorIssuer }

// Routes adds the routes that are the issuer's alone. [Server.Token] and [Server.Revoke] are the
// handlers of two that the mediator has for other stages, too.
//
//keyladder:code mediator-issuer-routes
func (s *Server) Routes(g *guard.Guard, e *echo.Echo) {
	for _, r := range []struct {
		method, path string
		attested     bool
		refusals     problem.Format
		handler      guard.Handler
	}{
		{http.MethodPost, "/par", true, problem.OAuth, s.push},
		{http.MethodGet, "/authorize", false, nil, s.authorize},
		{http.MethodPost, "/provider", false, nil, s.choose},
		{http.MethodGet, "/callback/:provider", false, nil, s.callback},
	} {
		g.Handle(e, guard.Route{
			Method: r.method, Path: r.path, Scope: guard.AnyScope, Admission: true, Attested: r.attested, Refusals: r.refusals, At: Issuing,
		}, r.handler)
	}
	g.Handle(e, guard.Route{
		Method: http.MethodPost, Path: challengePath, Scope: guard.AnyScope, Admission: true, At: byAttestation,
	}, s.challenge)
	g.Handle(e, guard.Route{Method: http.MethodGet, Path: keysPath, Scope: guard.AnyScope, Admission: true, At: signing}, s.keys)
	g.Handle(e, guard.Route{
		Method: http.MethodGet, WellKnown: "oauth-authorization-server", Scope: guard.AnyScope, Admission: true, At: Issuing,
	}, s.showMetadata)
}

// Token is the handler of the token endpoint.
func (s *Server) Token(c echo.Context, caller guard.Caller) error { return s.endpoint.Token(c, caller) }

// Revoke is the handler of the revocation endpoint.
func (s *Server) Revoke(c echo.Context, caller guard.Caller) error {
	return s.endpoint.Revoke(c, caller)
}

func (s *Server) issuer(stage catalog.Stage) string {
	return s.config.Addresses.Stage(deployment.MediatorService, stage.Slug)
}

// identify finds the client of a request whose app was proven.
func (s *Server) identify(r *http.Request, form oauth.Form, caller guard.Caller) (*clients.App, error) {
	if err := s.config.Limit(caller.App(), caller.Attested().Device, caller.At()); err != nil {
		return nil, err
	}
	if err := oauth.WithoutSecret(r, form); err != nil {
		return nil, err
	}
	id, err := form.Required("client_id")
	if err != nil {
		return nil, err
	}
	client := s.config.Clients.App(caller.App())
	if client != nil && id != caller.App() && byAttestation(caller.Stage().Policies) {
		return nil, oauth.Refuse(catalog.CheckClient, problem.New(http.StatusBadRequest, "bad-request", "There are two clients",
			"The client attestation and client_id name different ones."), "client_id is %.80q, and the attestation is about %s", id, caller.App())
	}
	if client == nil || id != caller.App() {
		return nil, oauth.Refuse(catalog.CheckClient, problem.New(http.StatusBadRequest, "client-not-accepted", "There are two clients",
			"The client integrity token and client_id name different ones."), "client_id is %.80q, and the token is about %s", id, caller.App())
	}
	return client, nil
}

// site is what all pages need to know.
func (s *Server) site(stage catalog.Stage) pages.Site {
	return pages.Site{Assets: pages.AssetPath, Stage: stage.Title, Origin: s.config.Addresses.URL(deployment.MediatorService)}
}

// show writes a page.
func (s *Server) show(c echo.Context, status int, page templ.Component) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, pages.ContentSecurityPolicy())
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return page.Render(c.Request().Context(), c.Response())
}

// problem shows a page, and notes which check refused.
func (s *Server) problem(c echo.Context, check catalog.Check, p pages.Problem, private string) error {
	if err := s.show(c, p.Status, pages.ProblemPage(p)); err != nil {
		return err
	}
	return &guard.Refusal{Check: check, Reason: private, Answered: true}
}

// How often what is over is looked for, and how long it is listed.
const (
	returnEvery = 5 * time.Second
	forgetEvery = 10 * time.Minute
	listedAfter = 24 * time.Hour
)

// Follow gives back to providers what sessions that have ended had, renews those whose mediator has
// died, and forgets what is over, until ctx ends.
func (s *Server) Follow(ctx context.Context) {
	returning, forgetting := time.NewTicker(returnEvery), time.NewTicker(forgetEvery)
	defer returning.Stop()
	defer forgetting.Stop()
	for {
		var err error
		select {
		case <-s.wake:
			err = s.returnTokens(ctx)
		case <-returning.C:
			err = errors.Join(s.returnTokens(ctx), s.resume(ctx))
		case <-forgetting.C:
			err = s.forget(ctx)
		case <-ctx.Done():
			return
		}
		if err != nil && ctx.Err() == nil {
			s.config.Logger.Error("end what is over", "error", err)
		}
	}
}

func (s *Server) forget(ctx context.Context) error {
	at := s.config.Now()
	return errors.Join(
		s.signIns.Forget(ctx, at), s.codes.Forget(ctx), s.families.Forget(ctx),
		s.sessions.Forget(ctx, at.Add(-s.config.RefreshLifetime-listedAfter), at.Add(-listedAfter)))
}

// Reset removes all that came of sign-ins, but for access tokens.
func (s *Server) Reset(ctx context.Context) error {
	return errors.Join(s.signIns.Reset(ctx), s.codes.Reset(ctx), s.sessions.Reset(ctx), s.families.Reset(ctx))
}
