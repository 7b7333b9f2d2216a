package guard

import "keyladder/stages/catalog"

// Route is a route of the API, and what a call of it needs. What is left out asks for
// the most.
type Route struct {
	Method string
	Path   string // after the stage, with Echo's parameters: /v1/accounts/:id
	// Scope is what the app must be allowed to do, and the user, too, where the stage
	// looks at both. [AnyScope] asks for none; without it nobody gets through.
	Scope string
	User  User
	// WithoutDevice lets an app in that has not registered its device yet.
	WithoutDevice bool
	// Partner opens the route to partners' servers, and closes it to apps.
	Partner bool
	// At says at which stages the route is there. Nil: at all.
	At func(catalog.Policies) bool
}

// AnyScope is the scope of routes that every proven app may call.
const AnyScope = "*"

// User is what a route needs of users, at stages that prove them.
type User int

// What routes need of users.
const (
	Proven       User = iota // in the way that the stage proves users
	ByPassword               // by name and password: the route on which a session begins
	NobodyNeeded             // the route is not about anybody
)

type route struct {
	Route
	name    string
	handler Handler
}

// partnerProof is the app proof of partners: the client certificate alone.
const partnerProof catalog.AppProof = "partner-certificate"

// policy is what a call of the route has to pass at a stage: for apps, what the stage
// demands.
//
// A partner's server needs something else. Its key is in the partner's data centre and in no
// app that people carry around, so mutual TLS says who is calling, whether apps use it or
// not; there is no device and no user.
func (r route) policy(stage catalog.Policies) catalog.Policies {
	if !r.Partner {
		return stage
	}
	stage.Call.Transport = catalog.MutualTLS
	stage.Call.AppProof = partnerProof
	stage.API.KeyInURL = catalog.KeyInURLRefused
	stage.Call.Nonces = catalog.NoNonces
	stage.Call.Bodies = catalog.PlainBodies
	stage.Call.Devices = catalog.NoDevices
	stage.Call.UserProof = catalog.NoUser
	stage.Call.Binding = catalog.NotBound
	stage.API.Authorization = catalog.AppScopes
	return stage
}
