package protect

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/session"
)

// ErrPolicy means that a stage demands something that nobody here knows how to do.
var ErrPolicy = errors.New("this client does not know how to do what the stage demands")

// API is where a stage's API is.
type API struct {
	Stage string // the stage's slug, the first segment of every path
	Plain string // URL of the API over HTTP, without a path: http://localhost:8080
	TLS   string // URL of the API over TLS
	Auth  string // URL of the authorization server, without a path; empty: there is none

	Attestation string // URL of the attestation service, without a path; empty: there is none
	Mediator    string // URL of the mediator, without a path; empty: there is none
	Lite        string // URL of the other company's authorization server, without a path; empty: there is none

	Answers []jwk.Key // with which the API signs its answers, where it does
}

// Identity is what a caller has. A field that is empty it does not have, and does not show.
type Identity struct {
	UserAgent   string // HarbourBank/1.0
	ClientID    string
	Secret      string           // the app's
	Certificate *tls.Certificate // the app's, for TLS
	Pins        pin.Set          // of the server's keys, that the app was shipped with

	Device  Installation
	Session session.Key // the user's
	Token   string      // the user's access token
	Refresh string      // the user's refresh token: for the authorization server alone

	Provider string // who has vouched for the user, where users choose that in the app: [catalog.Lite]; empty: the bank

	Integrity   string // the client integrity token
	Attestation string // of the client, for the server that issues its tokens

	Key crypto.Signer // of the device, on the curve P-256, that tokens are bound to; nil: none

	// Proof is shown in the place of the app's proof, whatever else there is: a value that
	// was found somewhere.
	Proof string
}

// String is for logs, and says nothing that is secret.
func (i Identity) String() string { return fmt.Sprintf("the identity of the client %q", i.ClientID) }

// GoString does the same.
func (i Identity) GoString() string { return i.String() }

// The things that an identity can lack: see [Caller.Lacks].
const (
	ClientID          = "a client ID"
	Secret            = "the app's secret"
	ClientCertificate = "a client certificate"
	ServerPins        = "pins of the server's keys"
	DeviceKey         = "a key of the device"
)

// Caller makes the calls of one identity at one stage. It may be used by several goroutines.
type Caller struct {
	policy   catalog.Call
	api      API
	identity Identity
	clock    *clock  // the server's, as far as it is known
	nonces   *nonces // that servers have given out
	parts    []part
}

// String is for logs, and says nothing that is secret.
func (c *Caller) String() string {
	return fmt.Sprintf("a caller at the stage %s with %s", c.api.Stage, c.identity)
}

// GoString does the same.
func (c *Caller) GoString() string { return c.String() }

// New gets ready to call. It refuses policies that leave something open, contradict
// themselves, or have a value that no mechanism serves: [ErrPolicy]. An identity may have
// gaps; what it has must be usable.
func New(policy catalog.Call, api API, identity Identity) (*Caller, error) {
	if open := policy.Undecided(); len(open) > 0 {
		return nil, fmt.Errorf("%w: the stage %q leaves open: %s", ErrPolicy, api.Stage, strings.Join(open, ", "))
	}
	if wrong := slices.Concat(policy.Unknown(), policy.Contradictions(), unserved(policy, mechanisms)); len(wrong) > 0 {
		return nil, fmt.Errorf("%w: the stage %q says: %s", ErrPolicy, api.Stage, strings.Join(wrong, ", "))
	}
	return newCaller(policy, api, identity, &clock{}, &nonces{})
}

func newCaller(policy catalog.Call, api API, identity Identity, clock *clock, nonces *nonces) (*Caller, error) {
	c := &Caller{policy: policy, api: api, identity: identity, clock: clock, nonces: nonces}
	if _, err := c.URL(""); err != nil {
		return nil, err
	}
	for _, m := range mechanisms {
		p, err := m.prepare(c)
		if err != nil {
			return nil, err
		}
		c.parts = append(c.parts, p)
	}
	return c, nil
}

// As is a caller with another identity, which goes by the same clock and nonces.
func (c *Caller) As(change func(*Identity)) (*Caller, error) {
	identity := c.identity
	change(&identity)
	return newCaller(c.policy, c.api, identity, c.clock, c.nonces)
}

// Identity is whose calls these are.
func (c *Caller) Identity() Identity { return c.identity }

// Policy is the stage's, by which calls are dressed.
func (c *Caller) Policy() catalog.Call { return c.policy }

// Lacks are the things that calls at the stage need from whoever is calling, for an app to
// be taken for what it is, and that this identity does not have. Device, session and tokens, which
// one gets by calling, do not count.
func (c *Caller) Lacks() []string {
	var lacks []string
	for _, p := range c.parts {
		if p.lacks != "" && !slices.Contains(lacks, p.lacks) {
			lacks = append(lacks, p.lacks)
		}
	}
	return lacks
}

// URL is the address of a path of the stage's API, such as /v1/rates. Where the way leads through
// the mediator, callers know no other API.
func (c *Caller) URL(path string) (*url.URL, error) {
	if c.policy.Gateway == catalog.ThroughGateway {
		base, err := c.mediator()
		if err != nil {
			return nil, err
		}
		return url.Parse(base + path)
	}
	address, scheme := c.api.TLS, "https"
	if c.policy.Transport == catalog.PlainHTTP {
		address, scheme = c.api.Plain, "http"
	}
	base, err := url.Parse(address)
	if err != nil || base.Scheme != scheme || base.Host == "" {
		return nil, fmt.Errorf("the address of the API, %q, is not an %s URL", address, scheme)
	}
	return url.Parse(strings.TrimSuffix(address, "/") + "/" + c.api.Stage + path)
}

// now is the time by the server's clock, as far as it is known.
func (c *Caller) now() time.Time { return c.clock.now() }
