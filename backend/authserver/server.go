package authserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/clients"
	"keyladder/backend/codes"
	"keyladder/backend/consents"
	"keyladder/backend/grants"
	"keyladder/backend/guard"
	"keyladder/backend/refresh"
	"keyladder/backend/serving"
	"keyladder/backend/tokens"
	"keyladder/backend/usage"
	"keyladder/backend/users"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/statefile"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// Config is what an authorization server needs.
type Config struct {
	Folder  *deployment.Folder // the database is made in it
	Issuer  catalog.Issuer     // which provider this is; empty: [catalog.AuthServer]
	Stages  catalog.Set
	Log     *traffic.Log // nil: no records
	Address guard.Limit  // calls from one address

	TokenLifetime   time.Duration // of access tokens, where they live long
	ShortLifetime   time.Duration // and where they can be refreshed
	CodeLifetime    time.Duration
	RefreshIdle     time.Duration
	RefreshLifetime time.Duration
	KeyOverlap      time.Duration // for how long a signing key that was replaced is good
	SecretOverlap   time.Duration // for how long a client secret that was replaced is kept

	Logger *slog.Logger     // nil: the default one
	Now    func() time.Time // nil: the clock
}

// With is the configuration with the lifetimes and limits of the deployment's settings.
func (c Config) With(s deployment.Settings) Config {
	c.Address = guard.Limit{PerSecond: s.AddressPerSecond, Burst: s.AddressBurst}
	c.TokenLifetime, c.ShortLifetime, c.CodeLifetime = s.TokenLifetime, s.ShortLifetime, s.CodeLifetime
	c.RefreshIdle, c.RefreshLifetime = s.RefreshIdle, s.RefreshLifetime
	c.KeyOverlap, c.SecretOverlap = s.SigningKeyOverlap, s.ClientOverlap
	return c
}

// repeatWithin is for how long the lost answer to a refresh can be asked for again.
const repeatWithin = time.Minute

// Server is the authorization server.
type Server struct {
	config   Config
	db       *gorm.DB
	clients  *clients.Registry
	users    *users.Directory
	codes    *codes.Store
	families *refresh.Store
	consents *consents.Store
	tokens   *tokens.Store
	usage    *usage.Counter
	underWay *underWay
	guard    *guard.Guard
	echo     *echo.Echo
	manage   *manage.Server
	tls      *tls.Config
}

// service is where the server is found as a provider.
func service(issuer catalog.Issuer) deployment.ServiceName {
	if issuer == catalog.LiteServer {
		return deployment.LiteServer
	}
	return deployment.AuthServer
}

// New makes a server and opens its database, which is seeded when it is new.
func New(config Config) (server *Server, err error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Issuer = cmp.Or(config.Issuer, catalog.AuthServer)
	var seed []manage.App
	var secrets map[string]string
	var people []users.Seed
	err = errors.Join(
		config.Folder.JSON("clients.json", &seed),
		config.Folder.JSON("secrets.json", &secrets),
		config.Folder.JSON("users.json", &people))
	if err != nil {
		return nil, err
	}
	certificate, err := config.Folder.Pair("server")
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, underWay: newUnderWay(config.Now), tls: serving.TLS(certificate)}
	models := slices.Concat(clients.Models(), users.Models(), codes.Models(), refresh.Models(), consents.Models(), tokens.Models(), usage.Models(), durable.Models())
	if s.db, err = store.Open(config.Folder.Path(string(config.Folder.Role)+".db"), models...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close(s.db)
		}
	}()
	ctx := context.Background()
	if s.clients, err = clients.Open(ctx, s.db, clients.Config{
		Seed: seed, Secrets: secrets, Overlap: config.SecretOverlap,
		Places: map[string]string{string(deployment.MediatorService): config.Folder.Addresses.URL(deployment.MediatorService)},
	}); err != nil {
		return nil, err
	}
	if s.users, err = users.New(ctx, s.db, people); err != nil {
		return nil, err
	}
	if s.codes, err = codes.Open(ctx, s.db, codes.Config{Lifetime: config.CodeLifetime, Now: config.Now}); err != nil {
		return nil, err
	}
	s.families, err = refresh.Open(ctx, s.db, refresh.Config{Idle: config.RefreshIdle, Absolute: config.RefreshLifetime, Repeat: repeatWithin, Now: config.Now})
	if err != nil {
		return nil, err
	}
	if s.consents, err = consents.Open(ctx, s.db); err != nil {
		return nil, err
	}
	s.tokens, err = tokens.Open(ctx, s.db, tokens.Config{
		Issuers: Issuers(config.Issuer, config.Stages, config.Folder.Addresses, config.TokenLifetime, config.ShortLifetime), Overlap: config.KeyOverlap, Now: config.Now,
	})
	if err != nil {
		return nil, err
	}
	s.usage = usage.New(s.db, config.Now)
	s.manage = manage.NewServer(config.Folder, config.Log, s.health)
	s.guard, err = guard.New(guard.Config{
		Stages: config.Stages, AdmissionAlone: true, Apps: s.clients, Usage: s.usage, Server: string(config.Folder.Role), Log: config.Log,
		Address: config.Address, Now: config.Now,
	})
	if err != nil {
		return nil, err
	}
	s.echo = serving.Echo(config.Logger, pages.Middleware, s.guard.Middleware)
	s.routes()
	s.management()
	return s, nil
}

// Issuers are what a provider is at the stages in which it has a part, for itself and for the
// resource servers that check what it issues.
func Issuers(server catalog.Issuer, stages catalog.Set, at deployment.Addresses, long, short time.Duration) []tokens.Issuer {
	var all []tokens.Issuer
	for _, stage := range stages.Built() {
		offer, ok := stage.Provider(server)
		if !ok {
			continue
		}
		issuer := tokens.Issuer{
			Stage: stage.Slug, URL: at.Stage(service(server), stage.Slug), Opaque: offer.TokenForm == catalog.OpaqueTokens,
			Audience: at.Stage(deployment.API, stage.Slug) + "/v1", Lifetime: long,
		}
		if offer.TokenLife == catalog.ShortLivedTokens {
			issuer.Lifetime = short
		}
		all = append(all, issuer)
	}
	return all
}

// offer is what the server offers at a stage; nothing where it has no part.
func (s *Server) offer(stage catalog.Stage) catalog.Auth {
	offer, _ := stage.Provider(s.config.Issuer)
	return offer
}

func (s *Server) issuer(stage catalog.Stage) string {
	return s.config.Folder.Addresses.Stage(service(s.config.Issuer), stage.Slug)
}

// lifetime is that of the stage's access tokens.
func (s *Server) lifetime(stage catalog.Stage) time.Duration {
	if s.offer(stage).TokenLife == catalog.ShortLivedTokens {
		return s.config.ShortLifetime
	}
	return s.config.TokenLifetime
}

// offered says whether the server has a part in a stage, and the others what it has there.
func (s *Server) offered(p catalog.Policies) bool {
	_, ok := p.Provider(s.config.Issuer)
	return ok
}

func (s *Server) withTokenEndpoint(p catalog.Policies) bool {
	offer, ok := p.Provider(s.config.Issuer)
	return ok && offer.Grants.HasCode()
}

func (s *Server) withIntrospection(p catalog.Policies) bool {
	offer, ok := p.Provider(s.config.Issuer)
	return ok && offer.ClientAuth.Proven()
}

func (s *Server) withUserInfo(p catalog.Policies) bool {
	offer, ok := p.Provider(s.config.Issuer)
	return ok && offer.TokenForm == catalog.OpaqueTokens
}

// routes is what there is.
//
//keyladder:code auth-routes
func (s *Server) routes() {
	endpoint := &grants.Endpoint{Server: s.config.Issuer, Clients: s.clients.Book, Tokens: s.tokens, Refresh: s.families, Issuer: s.issuer, Grants: []grants.Grant{
		grants.Code(s.codes, s.users.Lookup, s.allowedNow, s.end), grants.Refresh(s.families, s.users.Lookup, s.end),
	}}
	for _, r := range []struct {
		method, path string
		at           func(catalog.Policies) bool
		refusals     problem.Format
		handler      guard.Handler
	}{
		{http.MethodGet, "/authorize", s.offered, nil, s.authorize},
		{http.MethodPost, "/sign-in", s.offered, nil, s.signIn},
		{http.MethodGet, "/consent", s.offered, nil, s.askForConsent},
		{http.MethodPost, "/consent", s.offered, nil, s.consent},
		{http.MethodGet, "/consents", s.offered, nil, s.showGiven},
		{http.MethodPost, "/consents/withdraw", s.offered, nil, s.withdraw},
		{http.MethodPost, "/consents/sign-out", s.offered, nil, s.signOut},
		{http.MethodPost, "/token", s.withTokenEndpoint, problem.OAuth, endpoint.Token},
		{http.MethodPost, "/revoke", s.offered, problem.OAuth, endpoint.Revoke},
		{http.MethodPost, "/introspect", s.withIntrospection, problem.OAuth, endpoint.Introspect},
		{http.MethodGet, "/userinfo", s.withUserInfo, problem.Bearer(s.config.Issuer.Company()), s.userInfo},
	} {
		s.guard.Handle(s.echo, guard.Route{Method: r.method, Path: r.path, Scope: guard.AnyScope, Admission: true, Refusals: r.refusals, At: r.at}, r.handler)
	}
	s.guard.Handle(s.echo, guard.Route{
		Method: http.MethodGet, WellKnown: "oauth-authorization-server", Scope: guard.AnyScope, Admission: true, At: s.offered,
	}, s.showMetadata)
}

// end ends what came of codes and families that turned out to be in two hands.
func (s *Server) end(ctx context.Context, sources ...string) error {
	for _, source := range slices.Clone(sources) {
		families, err := s.families.RevokeOf(ctx, source)
		if err != nil {
			return err
		}
		sources = append(sources, families...)
	}
	_, err := s.tokens.RevokeOf(ctx, sources...)
	return err
}

// site is what all pages need to know.
func (s *Server) site(stage catalog.Stage) pages.Site {
	return pages.Site{Company: s.config.Issuer.Company(), Assets: pages.AssetPath, Stage: stage.Title, Origin: s.config.Folder.Addresses.URL(service(s.config.Issuer))}
}

// show writes a page. Its form may lead to the redirect URI, if there is one.
func (s *Server) show(c echo.Context, status int, redirectURI string, page templ.Component) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, pages.ContentSecurityPolicy(redirectURI))
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(status)
	return page.Render(c.Request().Context(), c.Response())
}

// Listeners are where a server answers. Those that are nil are left out.
type Listeners struct{ TLS, Manage net.Listener }

// flushEvery is how much of the statistics a server may lose when it is killed.
const flushEvery = time.Second

// Serve answers until ctx ends, lets calls that are under way finish, and writes what they used.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	group, ctx := errgroup.WithContext(ctx)
	if l.TLS != nil {
		group.Go(func() error {
			return serving.Serve(ctx, guard.TLS, s.echo, tls.NewListener(l.TLS, s.tls), s.config.Logger)
		})
	}
	if l.Manage != nil {
		group.Go(func() error { return s.manage.Serve(ctx, l.Manage) })
	}
	for _, run := range []func(context.Context){s.flush, s.clients.Follow, s.tokens.Follow} {
		group.Go(func() error {
			run(ctx)
			return nil
		})
	}
	err := group.Wait()
	return errors.Join(err, s.write(context.WithoutCancel(ctx)))
}

func (s *Server) write(ctx context.Context) error {
	return errors.Join(s.usage.Flush(ctx), s.tokens.Flush(ctx))
}

// forgetEvery is how often codes and families that are over are removed.
const forgetEvery = 10 * time.Minute

func (s *Server) flush(ctx context.Context) {
	ticker, forget := time.NewTicker(flushEvery), time.NewTicker(forgetEvery)
	defer ticker.Stop()
	defer forget.Stop()
	for {
		var err error
		select {
		case <-ticker.C:
			err = s.write(ctx)
		case <-forget.C:
			err = errors.Join(s.codes.Forget(ctx), s.families.Forget(ctx))
		case <-ctx.Done():
			return
		}
		if err != nil && ctx.Err() == nil {
			s.config.Logger.Error("write what was used", "error", err)
		}
	}
}

// health is nil when the database answers, what other processes wrote there is known, and
// something can be written.
func (s *Server) health(ctx context.Context) error {
	fault := func(err error, words string) error {
		s.config.Logger.Error("health", "error", err)
		return errors.New(words)
	}
	if err := errors.Join(s.clients.Health().Err, s.tokens.Health().Err); err != nil {
		return fault(err, "it is not known which clients and tokens were changed meanwhile")
	}
	if _, err := s.consents.Query(ctx, manage.ConsentQuery{Part: manage.Part{Limit: 1}}); err != nil {
		return fault(err, "the database does not answer")
	}
	if err := statefile.CanWrite(s.config.Folder.Dir); err != nil {
		return fault(err, "nothing can be written: is the disk full?")
	}
	return nil
}

// Close closes the database. Call it when Serve is over.
func (s *Server) Close() error { return store.Close(s.db) }
