package guard

import (
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Route is a route of the API, and what a call of it needs. A field that is left out asks for
// the most.
type Route struct {
	Method string
	Path   string // after the stage, with Echo's parameters: /v1/accounts/:id
	// WellKnown is in place of the path: the route is /.well-known/NAME/STAGE (RFC 8414, section
	// 3.1).
	WellKnown string
	// Scope is what the app must be allowed to do, and the user, too, where the stage
	// looks at both. [AnyScope] asks for none; without it nobody gets through.
	Scope string
	User  User
	// WithoutDevice lets an app in that has not registered its device yet.
	WithoutDevice bool
	// Admission says that the guard asks for admission alone. Its handler asks for the rest that it
	// takes to be served: an endpoint of OAuth proves client and user as RFC 6749 has it, and an
	// attestation is the proof itself.
	Admission bool
	// Attested says that such a route asks for what the attestation service has given to the app, too,
	// before its handler looks at anything: its client integrity token, or a client attestation, and
	// where tokens are bound to a key, for a proof that it has that.
	Attested bool
	// Issues says that such a route issues tokens. They are bound to the key of a DPoP proof, so
	// there has to be one (RFC 9449, section 5).
	Issues bool
	// Partner opens the route to partners' servers, and closes it to apps.
	Partner bool
	// AtGateway says that the gateway answers the route itself. So it asks for what the app may do as
	// well, which it leaves to the API otherwise.
	AtGateway bool
	// At says at which stages the route is there. Nil: at all.
	At func(catalog.Policies) bool
	// Refusals is how the guard writes its refusals. Nil: as problems (RFC 9457).
	Refusals problem.Format
}

// AnyScope is the scope of routes that every proven app may call.
const AnyScope = "*"

// User is what a route needs of users, at stages that prove them.
type User int

// The users that routes need.
const (
	Proven       User = iota // in the way that the stage proves users
	ByPassword               // by name and password: the route on which a session begins
	NobodyNeeded             // the route is not about anybody
)

func withUser(r Route) bool   { return r.User == Proven }
func byPassword(r Route) bool { return r.User == ByPassword }
func withDevice(r Route) bool { return !r.WithoutDevice }

// attestedEndpoint is false for the API: apps show their client integrity token there.
func attestedEndpoint(r Route) bool { return r.Attested }

// isRoute is false for what is none, which does nothing: it is 404 or 405.
func isRoute(r Route) bool { return r.Path != "" || r.WellKnown != "" }

// route is a registered route, or stands for all that are none.
type route struct {
	Route
	name    string
	handler Handler          // nil: it is none
	plans   map[string]*plan // by the stage's slug
}

// asks is what a call of the route has to pass at a stage: for apps, what the stage
// demands, or that they come through the gateway, which demands it.
//
// A partner's server needs something else. Its key is in the partner's data centre and in no
// app that people carry around, so mutual TLS says who is calling, whether apps use it or
// not; there is no device and no user.
func (r Route) asks(stage catalog.Policies) catalog.Policies {
	if r.Admission {
		var asked catalog.Policies
		asked.Call, asked.API = catalog.NothingAsked()
		asked.Call.Transport = stage.Call.Transport
		asked.API.RateLimits = stage.API.RateLimits
		if r.Attested && stage.Call.ClientAuth == catalog.ByAttestation {
			asked.Call.ClientAuth = catalog.ByAttestation
		} else if r.Attested {
			asked.Call.AppProof, asked.API.SecretOverlap = catalog.IntegrityToken, stage.API.SecretOverlap
		}
		if r.Attested && stage.Call.Sender != catalog.AnySender {
			asked.Call.Sender = catalog.DPoPProofs // as OAuth has it, however calls of the API are proven
		}
		return asked
	}
	if !r.Partner && isForwarded(stage) {
		return behind(stage)
	}
	if !r.Partner {
		stage.API.Partners = catalog.NoPartners
		return stage
	}
	var asked catalog.Policies
	asked.Call, asked.API = catalog.NothingAsked()
	asked.Call.Transport = catalog.MutualTLS
	asked.API.Partners = stage.API.Partners
	asked.API.UserAgents, asked.API.RateLimits = stage.API.UserAgents, stage.API.RateLimits
	asked.API.KeyInURL = catalog.KeyInURLRefused
	asked.API.Authorization = catalog.AppScopes
	return asked
}

// nowhere is what is asked of a call that names no stage that is built: it must not come too
// often.
func nowhere() (asked catalog.Policies) {
	asked.Call, asked.API = catalog.NothingAsked()
	asked.API.RateLimits = catalog.LimitedRates
	return asked
}
