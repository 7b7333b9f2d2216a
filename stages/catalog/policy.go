package catalog

import "reflect"

// TransferCap is what the app lets its user transfer at once, in minor units. Only
// the app enforces it: what a changed app does not, nobody does.
const TransferCap = 100_000

// Policy says what a stage demands. The zero value of every field means "not
// decided", which the guard refuses.
type Policy struct {
	Transport     Transport     `json:"transport"`
	UserAgents    UserAgents    `json:"user_agents"`
	RateLimits    RateLimits    `json:"rate_limits"`
	AppProof      AppProof      `json:"app_proof"`
	KeyInURL      KeyInURL      `json:"key_in_url"`
	Nonces        Nonces        `json:"nonces"`
	Bodies        Bodies        `json:"bodies"`
	Secrets       Secrets       `json:"secrets"`
	Pins          Pins          `json:"pins"`
	Devices       Devices       `json:"devices"`
	UserProof     UserProof     `json:"user_proof"`
	Binding       Binding       `json:"binding"`
	Authorization Authorization `json:"authorization"`
	Partners      Partners      `json:"partners"`
}

// Transport is the least protection that a connection must have.
type Transport string

// The transports, weakest first.
const (
	PlainHTTP Transport = "http"
	TLS       Transport = "tls"
	MutualTLS Transport = "mutual-tls"
)

// UserAgents says which User-Agent fields are let in.
type UserAgents string

// The user agent policies.
const (
	RegisteredUserAgents UserAgents = "registered-apps"
	AnyUserAgent         UserAgents = "any"
)

// RateLimits says whether calls are limited per address and per app.
type RateLimits string

// The rate limit policies.
const (
	LimitedRates   RateLimits = "limited"
	UnlimitedRates RateLimits = "unlimited"
)

// AppProof is how the calling app proves which app it is.
type AppProof string

// The app proofs. [NoAppProof] lets any program in; no stage uses it.
const (
	AppKey     AppProof = "app-key"
	Hawk       AppProof = "hawk" // a MAC over the request under the app's secret
	NoAppProof AppProof = "none"
)

// KeyInURL says whether the app's key may come as a query parameter.
type KeyInURL string

// The policies for keys in URLs.
const (
	KeyInURLAccepted KeyInURL = "accepted"
	KeyInURLRefused  KeyInURL = "refused"
)

// Nonces says what becomes of the nonces of signed requests.
type Nonces string

// The nonce policies.
const (
	NoNonces         Nonces = "none"
	NoncesForgotten  Nonces = "forgotten"  // a call can be repeated while its timestamp is good
	NoncesRemembered Nonces = "remembered" // each is good once
)

// Bodies says whether bodies are encrypted inside the channel.
type Bodies string

// The body policies.
const (
	PlainBodies  Bodies = "plain"
	SealedBodies Bodies = "sealed" // JWE under a key derived from the app's secret
)

// Secrets says how the app's package carries its secrets and pins.
type Secrets string

// The policies for secrets in packages.
const (
	ClearSecrets  Secrets = "clear"
	HiddenSecrets Secrets = "hidden" // encoded, cut up, scattered; put together in memory only
)

// Devices says whether installations are told apart.
type Devices string

// The device policies.
const (
	NoDevices         Devices = "none"
	RegisteredDevices Devices = "registered" // the device's identifier and the GUID it got for it go with every call
)

// Pins says whether the app compares the server's public key with pins.
type Pins string

// The pin policies.
const (
	Pinned    Pins = "pinned"
	NotPinned Pins = "not-pinned"
)

// UserProof is how the resource owner is proven.
type UserProof string

// The user proofs.
const (
	NoUser      UserProof = "none"
	UserSession UserProof = "session" // a random key that stands for the user's sign-in
)

// Binding ties app, user and request to each other.
type Binding string

// The bindings, weakest first. No stage uses the second and the third.
const (
	NotBound        Binding = "none"
	SessionOfApp    Binding = "session-of-app"    // a session is good with the app that it was opened with
	SessionOfDevice Binding = "session-of-device" // ... and on the device that it was opened on
	SessionOfCall   Binding = "session-of-call"   // ... and in the calls that were signed with it
)

// Authorization says whose rights decide what a call may do.
type Authorization string

// The authorization policies. [NotAuthorized] skips the decision: every proven
// app may do everything; no stage uses it.
const (
	AppScopes     Authorization = "app-scopes"
	AppAndUser    Authorization = "app-and-user" // what both may do, and on the user's accounts only
	NotAuthorized Authorization = "none"
)

// Partners says whether partners' servers are served beside the apps, and how they prove
// who they are. What the other fields ask of apps does not concern them.
type Partners string

// The policies for partners.
const (
	NoPartners            Partners = "none"
	PartnersByCertificate Partners = "client-certificate" // mutual TLS, whatever apps use
)

// Missing names the fields that are not decided, by their JSON names.
func (p Policy) Missing() []string {
	var missing []string
	v := reflect.ValueOf(p)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			missing = append(missing, v.Type().Field(i).Tag.Get("json"))
		}
	}
	return missing
}

// A Difference is one policy field that two stages decide differently.
type Difference struct {
	Field string // JSON name
	From  string // empty: not decided
	To    string
}

// Diff lists the fields in which to differs from p, in the order of [Policy].
func (p Policy) Diff(to Policy) []Difference {
	var differences []Difference
	a, b := reflect.ValueOf(p), reflect.ValueOf(to)
	for i := range a.NumField() {
		if from, to := a.Field(i).String(), b.Field(i).String(); from != to {
			differences = append(differences, Difference{Field: a.Type().Field(i).Tag.Get("json"), From: from, To: to})
		}
	}
	return differences
}
