package guard

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/devices"
	"keyladder/backend/sessions"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/deployment"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// Config is what a guard needs.
type Config struct {
	Stages catalog.Set
	// AdmissionAlone says that all routes ask for admission alone (see [Route].Admission), so that
	// the guard needs nothing of what proves callers.
	AdmissionAlone bool
	// Gateway says that this is the guard of the gateway before the API: its routes ask for admission
	// alone, or are the API's at stages whose calls lead through the gateway. It needs what Issued has.
	Gateway   bool
	Apps      *clients.Registry
	Users     *users.Directory
	Sessions  *sessions.Store
	Tokens    *tokens.Store
	Devices   *devices.Registry
	Issued    Issued    // by the authorization server
	Attested  Attested  // by the attestation service
	Forwarded Forwarded // by the gateway
	Proofs    *Proofs   // of senders; nil: no stage whose calls are guarded here asks for any
	// Introspect asks the provider that issues opaque tokens what one stands for. Its errors are
	// those of [introspection.Client.Find]. Nil: none does.
	Introspect func(call *http.Request, stage, text string) (*tokens.Token, error)
	// RevocationsOff says where the check for revoked access tokens is switched off. Nil: nowhere.
	RevocationsOff func(stage string) bool
	ClientCAs      *x509.CertPool // issues the apps' client certificates
	Host           string         // of the API as apps call it, for signed requests
	Port           int            // the same
	Usage          Counter
	Log            *traffic.Log     // nil: no records
	Address        Limit            // calls from one address
	Observe        func(Outcome)    // is told of each call when it is over; may be nil
	Now            func() time.Time // nil: the clock
	Nonces         int              // how many are remembered at most; 0: those of 5,000 calls a second
	Server         string           // its name in records; empty: the resource server's
	// Mark says for which time requests may have been signed that a server before this one
	// has served, and whose nonces are forgotten: they are stale. Nil: there was no server.
	Mark *replay.Mark
}

// Issued is what an authorization server knows and this server needs: at stages that have one,
// clients and access tokens are looked up there. The zero value knows nobody, so that nobody
// gets in.
type Issued struct {
	Clients *clients.Book
	Tokens  *tokens.Book
}

// Counter counts calls.
type Counter interface {
	Count(at time.Time, app, stage, route string, served bool)
}

// Uncounted counts nothing.
type Uncounted struct{}

// Count implements [Counter].
func (Uncounted) Count(time.Time, string, string, string, bool) {}

// Outcome is how a call ended.
type Outcome struct {
	Request  *http.Request // holds credentials: not for logs as it is
	Address  netip.Addr    // of the client; invalid where it is not known
	Stage    string        // empty: there is no such stage
	Route    string        // "GET /v1/accounts/{id}"; [OtherRoute] for what is none
	App      string        // proven; empty: none
	User     string        // proven; empty: nobody
	Token    *tokens.Token // that proves the user; nil: none does
	Did      string        // what the handler noted: see [Caller.Did]
	Check    catalog.Check // the check that refused it; empty: it was let through
	Status   int
	Size     int64 // of the answer's body, in bytes
	At       time.Time
	Duration time.Duration
}

// OtherRoute stands for all calls that no route is for.
const OtherRoute = "other"

// Handler answers a call that the guard let through. It may refuse it by a check of its own,
// with a [*Refusal] as the error.
type Handler func(c echo.Context, caller Caller) error

// Guard guards the routes of one server.
type Guard struct {
	Config
	memories *memories
	stages   map[string]*catalog.Stage
	steps    []step                       // of the pipeline
	inForce  map[catalog.Policies][]step  // of these; many routes ask for the same policies
	answer   echo.HandlerFunc             // serve
	routes   map[string]map[string]*route // by echo's path and the method
	other    *route                       // what is none of them
}

// memories are what checks remember from one call to the next.
type memories struct {
	addresses *addressLimits
	nonces    *replay.Cache
	integrity *integrityTokens
	headers   *dpop.Known   // of proofs
	forwarded *replay.Cache // what the gateway has sent
	since     time.Time     // from when on nonces are remembered
}

// New makes a guard. It refuses stages that are built and that it could not guard as their
// policies say: the error names their fields.
func New(config Config) (*Guard, error) {
	switch {
	case config.AdmissionAlone || config.Gateway:
		if config.Usage == nil || len(config.Stages) == 0 || config.Gateway && (config.Issued.Clients == nil || config.Issued.Tokens == nil) {
			return nil, errors.New("the guard lacks stages, a counter, or what was issued")
		}
	case config.Apps == nil || config.Users == nil || config.Sessions == nil || config.Tokens == nil || config.Devices == nil ||
		config.Usage == nil || config.ClientCAs == nil || len(config.Stages) == 0:
		return nil, errors.New("the guard lacks stages, a registry, an authority or a counter")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Server == "" {
		config.Server = string(deployment.Resource)
	}
	if config.Observe == nil {
		config.Observe = func(Outcome) {}
	}
	m, err := newMemories(config)
	if err != nil {
		return nil, err
	}
	g := &Guard{
		Config: config, memories: m, stages: map[string]*catalog.Stage{}, routes: map[string]map[string]*route{},
		inForce: map[catalog.Policies][]step{}, steps: pipeline(config, m).steps(),
	}
	faults := []error{declared(g.steps)}
	for _, s := range config.Stages {
		g.stages[s.Slug] = &s
		if s.Built {
			faults = append(faults, fits(s, g.steps))
			if needsProofs(s, config) {
				faults = append(faults, config.Proofs.usable(s))
			}
		}
	}
	g.other = g.newRoute(Route{Admission: config.AdmissionAlone || config.Gateway}, OtherRoute, nil)
	g.answer = g.serve
	return g, errors.Join(faults...)
}

func newMemories(config Config) (*memories, error) {
	m := &memories{since: config.Mark.Begins(config.Now()), integrity: newIntegrityTokens(config.Attested), headers: dpop.Remember(knownHeaders), forwarded: newForwarded(config)}
	m.nonces = replay.New(replay.Config{Skew: hawk.DefaultSkew, Limit: config.nonceLimit(), Start: m.since, Mark: config.Mark})
	var err error
	m.addresses, err = newAddressLimits(config.Address, addressParts)
	return m, err
}

// Signed is the latest time that a request was signed for whose nonce is remembered. The
// mark is closed with it when the server ends. Zero: there was none.
func (g *Guard) Signed() time.Time { return g.memories.nonces.Latest() }

// Handle registers a route under every stage. GET answers HEAD, too (RFC 9110, section
// 9.1).
func (g *Guard) Handle(e *echo.Echo, r Route, handler Handler) {
	methods := []string{r.Method}
	if r.Method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	if g.AdmissionAlone && !r.Admission {
		panic("guard: a route that asks for more than admission needs what this guard does not have")
	}
	path := prefix + r.Path
	if r.WellKnown != "" {
		path = "/.well-known/" + r.WellKnown + prefix
	}
	if g.routes[path] == nil {
		g.routes[path] = map[string]*route{}
	}
	registered := g.newRoute(r, r.Method+" "+braces(strings.TrimPrefix(path, prefix)), handler)
	for _, method := range methods {
		g.routes[path][method] = registered
		// Echo finds the route; what it would run must never be run but by the guard.
		e.Add(method, path, func(echo.Context) error { return errors.New("the guard was not asked") })
	}
}

// newRoute makes the plans for a route's calls, stage by stage.
func (g *Guard) newRoute(r Route, name string, handler Handler) *route {
	made := &route{Route: r, name: name, handler: handler, plans: map[string]*plan{}}
	made.plans[noStage] = g.plan(made, nil, nowhere())
	for slug, stage := range g.stages {
		switch {
		case !stage.Built:
			made.plans[slug] = g.plan(made, stage, nowhere())
		case r.At != nil && !r.At(stage.Policies):
			made.plans[slug] = g.other.plans[slug] // at this stage it is none
		case g.Gateway && !r.Admission && !isForwarded(stage.Policies):
			made.plans[slug] = g.other.plans[slug]
		case g.Gateway && !r.Admission:
			made.plans[slug] = g.plan(made, stage, r.before(stage.Policies))
		default:
			made.plans[slug] = g.plan(made, stage, r.asks(stage.Policies))
		}
	}
	return made
}

func (g *Guard) plan(r *route, stage *catalog.Stage, policies catalog.Policies) *plan {
	steps, known := g.inForce[policies]
	if !known {
		steps = inForce(g.steps, policies)
		g.inForce[policies] = steps
	}
	return newPlan(r, stage, policies, steps)
}

// planFor finds out what a call has to pass.
func (g *Guard) planFor(ec echo.Context) *plan {
	r := ec.Request()
	found, slug := g.other, firstSegment(r)
	if r.URL.RawPath == "" { // else the path was written in an unusual way: %2F, %2D, …
		if registered := g.routes[ec.Path()][r.Method]; registered != nil && parametersGiven(ec) {
			found = registered
			if found.WellKnown != "" {
				slug = ec.Param(stageParameter)
			}
		}
	}
	if p := found.plans[slug]; p != nil {
		return p
	}
	return found.plans[noStage]
}

// noStage stands for the names of all stages that there are not.
const noStage = ""

// prefix is the path segment that names the stage.
const (
	prefix         = "/:" + stageParameter
	stageParameter = "stage"
)

// Middleware is the guard as Echo runs it. It answers all calls itself and never calls
// what comes after it.
func (g *Guard) Middleware(echo.HandlerFunc) echo.HandlerFunc { return g.answer }

func (g *Guard) serve(ec echo.Context) error {
	c := newCall(ec, g.planFor(ec), g.Now())
	recorder := c.record(g.Log, g.Server)
	c.readOrigin()
	c.refusal, c.check = c.plan.decide(c)
	if c.refusal != nil {
		if c.key != nil {
			c.key.Refused(c.at, c.refusal.Reason)
		}
	} else {
		c.accepted()
	}
	c.announceLimits()
	held := hold(c)
	if err := respond(c); err != nil {
		ec.Error(err)
	}
	if c.stage != nil {
		g.Usage.Count(c.at, c.appID(), c.stage.Slug, c.plan.route.name, c.refusal == nil)
	}
	if err := held.release(c); err != nil {
		ec.Error(err)
	}
	end := g.Now()
	recorder.finish(c, end)
	outcome := Outcome{
		Request: c.request, Address: c.address, Route: c.plan.route.name, App: c.appID(), User: Caller{c}.User(), Token: c.token, Did: c.did,
		Status: ec.Response().Status, Size: ec.Response().Size, At: c.at, Duration: end.Sub(c.at),
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

// respond answers what was decided. An error is for the one error handler of the server.
func respond(c *call) error {
	if c.refusal != nil {
		c.refusal.write(c)
		return nil
	}
	if c.plan.route.handler != nil {
		err := run(c)
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			if !c.stage.Heeds(refusal.Check) { // and yet the handler can't go on
				return fmt.Errorf("%s: refused by the check %q, which is not heeded here: %w", c.plan.route.name, refusal.Check, err)
			}
			c.refusal, c.check = refusal, refusal.Check
			c.refusal.write(c)
			return nil
		}
		return err
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
			err = fmt.Errorf("%s: panic: %v", c.plan.route.name, r)
		}
	}()
	return c.plan.route.handler(c.echo, Caller{call: c})
}

// Listener is where a connection came in.
type Listener string

// The listeners. Without one a call is refused.
const (
	Plain      Listener = "plain"      // HTTP
	TLS        Listener = "tls"        // TLS that ends here; client certificates are asked for
	Terminated Listener = "terminated" // TLS ended at a terminator, which has proven itself
	Inside     Listener = "inside"     // the gateway, which has proven itself
)

type listenerKey struct{}

// ListenerOf is where the requests in ctx come in; empty: nobody has said so.
func ListenerOf(ctx context.Context) Listener {
	listener, _ := ctx.Value(listenerKey{}).(Listener)
	return listener
}

// WithListener says where the requests in ctx come in. It is for [http.Server]'s
// BaseContext.
func WithListener(ctx context.Context, listener Listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, listener)
}
