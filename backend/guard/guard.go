package guard

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/devices"
	"keyladder/backend/sessions"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// MaxBody is the size of the largest body that is read, in bytes.
const MaxBody = 64 << 10

// Config is what a guard needs.
type Config struct {
	Stages    catalog.Set
	Apps      *clients.Registry
	Users     *users.Directory
	Sessions  *sessions.Store
	Devices   *devices.Registry
	ClientCAs *x509.CertPool // issues the apps' client certificates
	Host      string         // of the API as apps call it, for signed requests
	Port      int            // the same
	Usage     Counter
	Log       *traffic.Log     // nil: no records
	Address   Limit            // calls from one address
	Observe   func(Outcome)    // is told of each call when it is over; may be nil
	Now       func() time.Time // nil: the clock
	Nonces    int              // how many are remembered at most; 0: those of 5,000 calls a second
	// Resumed says that there was a server before this one, whose nonces are forgotten.
	// Requests that were signed before now are stale then, and those that were signed up to
	// Before: the latest that it served, as far as is known. See [Guard.Signed].
	Resumed bool
	Before  time.Time
}

// Counter counts calls.
type Counter interface {
	Count(app, stage, route string, served bool)
}

// Outcome is how a call ended.
type Outcome struct {
	Request  *http.Request // holds credentials: not for logs as it is
	Address  netip.Addr    // of the client; invalid where it is not known
	Stage    string        // empty: there is no such stage
	Route    string        // "GET /v1/accounts/{id}"; [OtherRoute] for what is none
	Check    catalog.Check // the check that refused it; empty: it was let through
	Status   int
	Size     int64 // of the answer's body, in bytes
	At       time.Time
	Duration time.Duration
}

// OtherRoute stands for all calls that no route is for.
const OtherRoute = "other"

// Handler answers a call that the guard let through.
type Handler func(c echo.Context, caller Caller) error

// Guard guards the routes of one server.
type Guard struct {
	Config
	stages    map[string]*stage
	routes    map[string]route // by method and echo's path
	addresses *addressLimits
	clients   *clientcert.Verifier
	nonces    *replay.Cache
	since     time.Time // from when on nonces are remembered
}

// stage is a stage with what can be found out about it once.
type stage struct {
	catalog.Stage
	missing, unknown []string
}

// New makes a guard.
func New(config Config) (*Guard, error) {
	if config.Apps == nil || config.Users == nil || config.Sessions == nil || config.Devices == nil ||
		config.Usage == nil || config.ClientCAs == nil || len(config.Stages) == 0 {
		return nil, errors.New("the guard lacks stages, a registry, an authority or a counter")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Observe == nil {
		config.Observe = func(Outcome) {}
	}
	addresses, err := newAddressLimits(config.Address)
	if err != nil {
		return nil, err
	}
	g := &Guard{Config: config, stages: map[string]*stage{}, routes: map[string]route{}, addresses: addresses, clients: clientcert.NewVerifier(config.ClientCAs)}
	if config.Resumed {
		g.since = memoryBegins(config.Now(), config.Before)
	}
	g.nonces = replay.New(replay.Config{
		Skew: hawk.DefaultSkew, Limit: config.nonceLimit(), Start: g.since,
	})
	for _, s := range config.Stages {
		g.stages[s.Slug] = &stage{Stage: s, missing: s.Undecided(), unknown: s.Unknown()}
	}
	return g, nil
}

// memoryBegins is the first second of which all nonces are known.
func memoryBegins(now, before time.Time) time.Time {
	// A time that clocks can't be ahead by was told by one that has been set back since.
	// Who believed it would serve nobody until then.
	if limit := now.Add(hawk.DefaultSkew); before.After(limit) {
		before = limit
	}
	if before.After(now) {
		now = before
	}
	return now.Truncate(time.Second).Add(time.Second) // that second is one of which we do not know all
}

// Signed is the latest time that a request was signed for whose nonce is remembered. The
// next server has to know it; see [Config].Before. Zero: there was none.
func (g *Guard) Signed() time.Time { return g.nonces.Latest() }

// check is a step of the pipeline.
type check struct {
	name catalog.Check
	run  func(*Guard, *call) *Refusal
}

// pipeline is the order of the checks. See the package comment.
//
//keyladder:code guard-pipeline
var pipeline = [...]check{
	{catalog.CheckStage, (*Guard).resolveStage},
	{"policy", (*Guard).completePolicy},
	{catalog.CheckTransport, (*Guard).transport},
	{catalog.CheckUserAgent, (*Guard).userAgent},
	{catalog.CheckAddressLimit, (*Guard).addressLimit},
	{catalog.CheckBody, (*Guard).readBody},
	{catalog.CheckClientCert, (*Guard).certificateShown},
	{catalog.CheckKeyInURL, (*Guard).keyInURL},
	{catalog.CheckAppKey, (*Guard).appKey},
	{catalog.CheckHawk, (*Guard).hawk},
	{catalog.CheckSignedFields, (*Guard).signedFields},
	{catalog.CheckNonce, (*Guard).nonceIsNew},
	{catalog.CheckClientCert, (*Guard).certificateOfApp},
	{catalog.CheckAppLimit, (*Guard).appLimit},
	{catalog.CheckNonce, (*Guard).nonce},
	{catalog.CheckSealedBody, (*Guard).sealedBody},
	{catalog.CheckDevice, (*Guard).device},
	{catalog.CheckSignIn, (*Guard).signIn},
	{catalog.CheckSession, (*Guard).session},
	{catalog.CheckBinding, (*Guard).binding},
	{catalog.CheckScope, (*Guard).scope},
}

// Checks are the names of the checks, in the order of the pipeline, each once.
func Checks() []catalog.Check {
	var names []catalog.Check
	seen := map[catalog.Check]bool{}
	for _, check := range pipeline {
		if !seen[check.name] {
			seen[check.name] = true
			names = append(names, check.name)
		}
	}
	return names
}

// Refusal is what a check says that does not let a call through.
type Refusal struct {
	Problem *problem.Problem // for the client
	Reason  string           // private, for people who look at the traffic
}

func refuse(p *problem.Problem, reason string, values ...any) *Refusal {
	return &Refusal{Problem: p, Reason: fmt.Sprintf(reason, values...)}
}

// undecided refuses a policy value that a check does not know. It is no fault of the
// client's, and nothing that it could mend.
func undecided(field string, value any) *Refusal {
	return refuse(closed(), "the policy's %s is %q, which this check does not know", field, value)
}

func closed() *problem.Problem {
	return problem.New(http.StatusForbidden, "not-allowed", "This stage is closed", "Its policy is not complete, so nothing is let through.")
}

// Handle registers a route under every stage. GET answers HEAD, too (RFC 9110, section
// 9.1).
func (g *Guard) Handle(e *echo.Echo, r Route, handler Handler) {
	methods := []string{r.Method}
	if r.Method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	for _, method := range methods {
		g.routes[method+" "+prefix+r.Path] = route{Route: r, name: r.Method + " " + braces(r.Path), handler: handler}
		// Echo finds the route; what it would run must never be run but by the guard.
		e.Add(method, prefix+r.Path, func(echo.Context) error { return errors.New("the guard was not asked") })
	}
}

// prefix is the path segment that names the stage.
const prefix = "/:stage"

// Middleware is the guard as Echo runs it. It answers all calls itself and never calls
// what comes after it.
func (g *Guard) Middleware(echo.HandlerFunc) echo.HandlerFunc { return g.serve }

func (g *Guard) serve(ec echo.Context) error {
	recorder := g.record(ec)
	c := g.newCall(ec)
	c.refusal, c.check = g.decide(c)
	if c.refusal != nil {
		if c.key != nil {
			c.key.Refused(c.at, c.refusal.Reason)
		}
	} else {
		c.accepted()
	}
	if c.stage != nil {
		g.Usage.Count(c.appID(), c.stage.Slug, c.route.name, c.refusal == nil)
	}
	held := g.hold(c)
	if err := g.answer(c); err != nil {
		ec.Error(err)
	}
	if err := held.release(c); err != nil {
		ec.Error(err)
	}
	recorder.finish(c)
	outcome := Outcome{
		Request: c.request, Address: c.address, Route: c.route.name,
		Status: ec.Response().Status, Size: ec.Response().Size, At: c.at, Duration: g.Now().Sub(c.at),
	}
	if c.stage != nil {
		outcome.Stage = c.stage.Slug
	}
	if c.refusal != nil {
		outcome.Check = c.check
	}
	g.Observe(outcome)
	return nil
}

// decide runs the pipeline and says what refused the call, or which check was last.
func (g *Guard) decide(c *call) (refusal *Refusal, name catalog.Check) {
	for _, check := range pipeline {
		name = check.name
		if refusal := check.run(g, c); refusal != nil && c.heeds(name) {
			return refusal, name
		}
	}
	return nil, name
}

func (g *Guard) answer(c *call) error {
	if c.refusal != nil {
		return c.refusal.Problem
	}
	if c.route.handler != nil {
		return run(c)
	}
	if allow, ok := c.echo.Get(echo.ContextKeyHeaderAllow).(string); ok {
		if c.request.Method == http.MethodOptions {
			c.echo.Response().Header().Set(echo.HeaderAllow, allow)
			return c.echo.NoContent(http.StatusNoContent)
		}
		return problem.New(http.StatusMethodNotAllowed, "method-not-allowed", "That method does not go with this path", "It goes with: "+allow+".").
			With(echo.HeaderAllow, allow)
	}
	return problem.New(http.StatusNotFound, "no-such-resource", "There is nothing here", "The API is under /"+c.stage.Slug+"/v1/, with paths in plain characters and without a slash at their end.")
}

// run calls the handler. A panic in it is a fault like any other, so that the call is
// recorded to its end.
func run(c *call) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: panic: %v", c.route.name, r)
		}
	}()
	return c.route.handler(c.echo, Caller{call: c})
}

// Listener is where a connection came in.
type Listener string

// The listeners. Without one a call is refused.
const (
	Plain      Listener = "plain"      // HTTP
	TLS        Listener = "tls"        // TLS that ends here; client certificates are asked for
	Terminated Listener = "terminated" // TLS ended at a terminator, which has proven itself
)

type listenerKey struct{}

// WithListener says where the requests in ctx come in. It is for [http.Server]'s
// BaseContext.
func WithListener(ctx context.Context, listener Listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, listener)
}
