package guard

import (
	"cmp"
	"crypto/x509"
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
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/pin"
)

// call is what the guard knows about a call; each check adds to it.
type call struct {
	echo     echo.Context
	request  *http.Request
	at       time.Time
	listener Listener
	plan     *plan
	stage    *catalog.Stage    // nil: there is none of that name
	policies *catalog.Policies // what is asked of this call

	// From where it comes; on the listeners of terminator and gateway as those say.
	address     netip.Addr
	certificate *x509.Certificate
	pin         pin.Pin // of the certificate, when it was verified
	originError error   // what the terminator says can't be read

	raw  []byte // the body as it came
	body []byte // the same, opened where it was sealed

	claimed   *clients.App // whose proof was good so far
	key       *clients.Key
	secret    *clients.Secret   // of the key, with which the request was signed; before that one that opens nothing
	received  *hawk.Received    // the signed request, when its MAC was good
	signed    *httpsig.Received // the same where the sender has signed it, when its signature was good, be it for another time
	base      []byte            // of that signature, as this server has built it; empty: it did not come to that
	pop       bool              // a client attestation came with a proof of its own
	sender    *sender           // who has proven to have a key; nil: nobody has
	attested  *integrity.Claims // what the client integrity token says; nil: none was looked at
	forwarded *forwarded.Claims // what the gateway says about the caller; nil: none did
	app       *clients.App      // proven
	device    *devices.Device
	user      *users.User       // proven
	session   *sessions.Session // that proves the user
	token     *tokens.Token     // the same, where tokens do
	did       string            // see Caller.Did

	refusal *Refusal
	check   catalog.Check // the check that refused, or the last

	taken []taken // out of limits, so far

	// Room for what most calls need, so that it is one object with the call.
	room struct {
		taken       [2]taken
		limitFields [2]string
	}
	recorder recorder
}

// Caller is who makes a call, proven as far as the stage demands. Only the guard makes
// one: the zero Caller is nobody, and panics when it is asked.
type Caller struct{ call *call }

// App is the proven app's or partner's ID; empty where the stage demands no proof.
func (c Caller) App() string { return c.call.appID() }

// Attested is what the client integrity token of the call says, which was found good; the zero value
// where the stage or the route does not ask for one.
func (c Caller) Attested() integrity.Claims {
	if c.call.attested == nil {
		return integrity.Claims{}
	}
	return *c.call.attested
}

// Thumbprint is that of the key that the sender of the call has proven to have (RFC 7638); empty where
// the stage or the route does not ask for one.
func (c Caller) Thumbprint() string {
	if c.call.sender == nil {
		return ""
	}
	return c.call.sender.thumbprint
}

// User is the proven user; empty where the stage or the route knows none.
func (c Caller) User() string {
	if c.call.user == nil {
		return ""
	}
	return c.call.user.Name
}

// Staff says whether the call is made on the bank's behalf: the user works for it, and
// the app is one that is made for that. A clerk with the customers' app is a customer.
func (c Caller) Staff() bool {
	return c.call.user != nil && c.call.user.Staff && c.call.app != nil && c.call.app.May(staffScope)
}

// staffScope is the one that only apps for staff have.
const staffScope = "accounts:freeze"

// SeesAll says whether the caller may look at everybody's accounts: staff may, and, where
// the stage knows no users, everybody.
func (c Caller) SeesAll() bool { return c.call.stage.Call.UserProof == catalog.NoUser || c.Staff() }

// Sees says whether the caller may look at an owner's accounts.
func (c Caller) Sees(owner string) bool {
	return c.SeesAll() || c.call.user != nil && c.call.user.Name == owner
}

// Session is the ID of the session that proves the user; empty where none does.
func (c Caller) Session() string {
	if c.call.session == nil {
		return ""
	}
	return c.call.session.ID
}

// Did notes what came of the call, in a few words without secrets, for those who look later at
// what was done with its credentials.
func (c Caller) Did(words string) { c.call.did = words }

// Scope is what the access token of the call is good for, with spaces between; empty where the stage
// or the route does not ask for one.
func (c Caller) Scope() string {
	switch {
	case c.call.token != nil:
		return c.call.token.Scope
	case c.call.forwarded != nil:
		return c.call.forwarded.Scope
	}
	return ""
}

// Device is the identifier of the device that the app runs on; empty where the stage or
// the route does not ask for it.
func (c Caller) Device() string {
	switch {
	case c.call.device != nil:
		return c.call.device.Identifier
	case c.call.forwarded != nil:
		return c.call.forwarded.Device
	}
	return ""
}

// UsersOn is the device that the user's access token was issued to; empty where there is none, or it was
// issued to whatever device its client runs on.
func (c Caller) UsersOn() string {
	if c.call.token == nil {
		return ""
	}
	return c.call.token.Device
}

// Address is from where the call comes.
func (c Caller) Address() netip.Addr { return c.call.address }

// At is when the call came.
func (c Caller) At() time.Time { return c.call.at }

// Stage is the stage of the call.
func (c Caller) Stage() catalog.Stage { return *c.call.stage }

// Body is the whole body.
func (c Caller) Body() []byte { return c.call.body }

var noSecret clients.Secret

func newCall(ec echo.Context, p *plan, at time.Time) *call {
	c := &call{echo: ec, request: ec.Request(), at: at, plan: p, stage: p.stage, policies: &p.policies, secret: &noSecret}
	c.taken = c.room.taken[:0]
	c.listener = ListenerOf(c.request.Context())
	return c
}

func (c *call) appID() string {
	if c.app == nil {
		return ""
	}
	return c.app.ID
}

// accepted notes what was used. Calls that were refused in the end do not keep a session
// alive.
func (c *call) accepted() {
	if c.key != nil {
		c.key.Accepted(c.at)
	}
	if c.device != nil {
		c.device.Seen(c.at)
	}
	if c.session != nil {
		c.session.Touch(c.at)
	}
	if c.token != nil {
		c.token.Touch(c.at)
	}
}

// parametersGiven is false for `/accounts//transfers`, where Echo sees an empty ID.
func parametersGiven(ec echo.Context) bool {
	for _, value := range ec.ParamValues() {
		if value == "" {
			return false
		}
	}
	return true
}

// readOrigin reads from where the call comes. A client's own values for the fields of a
// terminator are removed everywhere else, so that no handler can take them for the truth.
func (c *call) readOrigin() {
	header := c.request.Header
	if c.listener != Inside {
		forwarded.Strip(header)
	}
	if c.listener != Terminated {
		clientcert.Strip(header)
	}
	if c.listener != Terminated && c.listener != Inside {
		delete(header, echo.HeaderXForwardedFor)
		if peer, err := netip.ParseAddrPort(c.request.RemoteAddr); err == nil {
			c.address = peer.Addr().Unmap().WithZone("")
		}
		if c.request.TLS != nil && len(c.request.TLS.VerifiedChains) > 0 {
			c.certificate = c.request.TLS.PeerCertificates[0]
		}
		return
	}
	if forwarded := header.Values(echo.HeaderXForwardedFor); len(forwarded) == 1 {
		if address, err := netip.ParseAddr(forwarded[0]); err == nil {
			c.address = address.Unmap().WithZone("")
		}
	}
	if c.listener == Terminated {
		c.certificate, c.originError = clientcert.FromHeader(header)
	}
}

// firstSegment of the path, as it was written. Where RawPath is empty, nothing in the path was
// written in an unusual way, so names of stages look the same in both.
func firstSegment(r *http.Request) string {
	path := cmp.Or(r.URL.RawPath, r.URL.Path)
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return segment
}

// braces turns Echo's path into the way people write it: /v1/accounts/{id}.
func braces(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			segments[i] = "{" + name + "}"
		}
	}
	return strings.Join(segments, "/")
}
