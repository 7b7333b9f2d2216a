package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/backend/api"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/token"
)

// Config is what a gateway needs.
type Config struct {
	Folder *deployment.Folder // of the program that it runs in
	DB     *gorm.DB           // with the tables of [Models]; nil: nothing is kept
	Log    *traffic.Log       // nil: no records
	Rates  MarketRates        // nil: there is no route for them

	Patience time.Duration // that the API may take until it begins to answer; 0: [Patience]
	Every    time.Duration // that it is looked at whether the API is up; 0: each second
	Logger   *slog.Logger  // nil: the default one
	Now      func() time.Time
}

const (
	// Patience is what the API usually may take until it begins to answer.
	Patience = 10 * time.Second

	handshake = 5 * time.Second // that a connection may take
	mostIdle  = 64              // connections that wait for the next call
)

// Gateway sends calls on that the guard has let through. It is safe for concurrent use.
type Gateway struct {
	config    Config
	key       token.Key
	transport *http.Transport
	health    health
	counts    counts
	waf       *WAF
	routes    []routed
}

// New makes a gateway.
func New(config Config) (*Gateway, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Patience == 0 {
		config.Patience = Patience
	}
	if config.Every == 0 {
		config.Every = time.Second
	}
	g := &Gateway{config: config}
	if err := config.Folder.JSON(deployment.ForwardingKey, &g.key); err != nil {
		return nil, err
	}
	settings, err := g.tls()
	if err != nil {
		return nil, err
	}
	g.transport = &http.Transport{
		TLSClientConfig: settings, DialContext: config.Folder.Addresses.Routes().Dial(&net.Dialer{Timeout: handshake}), TLSHandshakeTimeout: handshake,
		MaxIdleConnsPerHost: mostIdle, DisableCompression: true, ResponseHeaderTimeout: config.Patience, MaxResponseHeaderBytes: 32 << 10,
		// Shorter than the API's, so that it does not close one which is about to be used.
		IdleConnTimeout: 30 * time.Second,
	}
	g.waf, err = openWAF(context.Background(), config.DB, config.Now)
	return g, err
}

// WAF is the gateway's web application firewall.
func (g *Gateway) WAF() *WAF { return g.waf }

// tls says who this is, and whom it calls.
func (g *Gateway) tls() (*tls.Config, error) {
	certificate, err := g.config.Folder.Pair("manage")
	if err != nil {
		return nil, err
	}
	roots, err := g.config.Folder.Pool("roots.pem")
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, RootCAs: roots}, nil
}

// Routes registers the routes of the API, and that for market rates, which the gateway answers. Those
// for partners are not among them: their servers have certificates, and call the API itself.
func (g *Gateway) Routes(e *echo.Echo, guarded *guard.Guard) {
	for _, r := range api.Routes() {
		if !r.Partner {
			g.handle(e, guarded, r, deployment.Resource, g.Forward)
		}
	}
	if g.config.Rates != nil {
		g.handle(e, guarded, ratesRoute, deployment.Rates, g.marketRates)
	}
}

func (g *Gateway) handle(e *echo.Echo, guarded *guard.Guard, r guard.Route, by deployment.Role, handler guard.Handler) {
	guarded.Handle(e, r, handler)
	g.routes = append(g.routes, routed{r, by})
}

// routed is a route, and who answers.
type routed struct {
	guard.Route
	by deployment.Role
}

// Before says whether a stage's calls lead through a gateway.
func Before(p catalog.Policies) bool { return p.Call.Gateway == catalog.ThroughGateway }

// Close closes the connections to the API, and to the third party.
func (g *Gateway) Close() {
	g.transport.CloseIdleConnections()
	if g.config.Rates != nil {
		g.config.Rates.Close()
	}
}

// vouch says who makes a call. Each attempt to send a call needs another token.
//
//keyladder:code gateway-vouch
func (g *Gateway) vouch(r *http.Request, caller guard.Caller) (string, error) {
	at, addresses, slug := g.config.Now(), g.config.Folder.Addresses, caller.Stage().Slug
	at = at.Truncate(time.Second)
	return forwarded.Sign(g.key, forwarded.Claims{
		Issuer: addresses.Stage(deployment.MediatorService, slug), Audience: addresses.Stage(deployment.InsideAPI, slug) + "/v1",
		ClientID: caller.App(), Subject: caller.User(), Scope: caller.Scope(), Device: caller.Attested().Device, UsersOn: caller.UsersOn(),
		Method: r.Method, Path: forwarded.Path(r), Issued: at, Expires: at.Add(forwarded.Lifetime), ID: token.NewID(),
	})
}
