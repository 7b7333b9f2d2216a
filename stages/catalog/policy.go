package catalog

import "time"

// TransferCap is what the app lets its user transfer at once, in minor units. Only
// the app enforces it: what a changed app does not, nobody does.
const TransferCap = 100_000

// Policies are all that a stage decides, one for each actor, which needs to know its own
// business only.
type Policies struct {
	Call        Call        `json:"call"`
	API         API         `json:"api"`
	Auth        Auth        `json:"auth"`
	Attestation Attestation `json:"attestation"`
	Package     Package     `json:"package"`
}

// Call is what both ends do with a call. It is the one policy that an app is shipped
// with; the client's side of a call (package protect) and the guard go by it.
//
// In this and the other policies the zero value of a field means "not decided". The guard
// refuses a stage where one is: see [Policies.Undecided]. It has to serve what a field
// decides, unless the field's tag says who else goes by it: see [Decision].Owner.
type Call struct {
	Transport Transport `json:"transport" title:"Connection"`
	Pins      Pins      `json:"pins" title:"Server's public key" owner:"app"`
	AppProof  AppProof  `json:"app_proof" title:"Proof of the app"`
	KeyPlace  KeyPlace  `json:"key_place" title:"Where the app sends its key" owner:"app"`
	Nonces    Nonces    `json:"nonces" title:"Nonces of signed calls"`
	Bodies    Bodies    `json:"bodies" title:"Bodies"`
	Devices   Devices   `json:"devices" title:"Installations"`
	UserProof UserProof `json:"user_proof" title:"Proof of the user"`
	UserKey   UserKey   `json:"user_key" title:"Where the app keeps the user's key" owner:"app"`
	Binding   Binding   `json:"binding" title:"Binding of app, user and request"`
	Sender    Sender    `json:"sender" title:"Proof that the sender has the device's key"`

	Grant      Grants     `json:"grant" title:"How the app gets access tokens" owner:"app"`
	ClientAuth ClientAuth `json:"client_auth" title:"How the app authenticates for that" owner:"app"`
	PKCE       PKCE       `json:"pkce" title:"What the app binds its codes to" owner:"app"`
	Providers  Providers  `json:"providers" title:"Whose page users sign in on" owner:"app"`
	Gateway    Gateway    `json:"gateway" title:"The way to the API"`
}

// AppAuthorization is the field in which an app proves itself where Authorization is the
// user's.
const AppAuthorization = "App-Authorization"

// ClientIntegrityToken is the field of [IntegrityToken], whether there are users or not.
const ClientIntegrityToken = "Client-Integrity-Token"

// AppProofField is the field that carries the app's proof: Authorization, until users need
// that, but for a proof that has a field of its own.
func (c Call) AppProofField() string {
	switch {
	case c.AppProof == IntegrityToken:
		return ClientIntegrityToken
	case c.UserProof == NoUser:
		return "Authorization"
	}
	return AppAuthorization
}

// API is what the resource server alone decides.
type API struct {
	UserAgents    UserAgents    `json:"user_agents" title:"User-Agent field"`
	RateLimits    RateLimits    `json:"rate_limits" title:"Rate limits"`
	KeyInURL      KeyInURL      `json:"key_in_url" title:"Key in the URL"`
	SecretOverlap Duration      `json:"secret_overlap" title:"Time for which a replaced secret stays good"`
	Authorization Authorization `json:"authorization" title:"Rights"`
	Partners      Partners      `json:"partners" title:"Partners' servers"`
}

// NothingAsked are the policies of calls that anybody may make in any way. The policies of callers
// that are no apps are built up from it.
func NothingAsked() (Call, API) {
	return Call{
		Transport: PlainHTTP, Pins: NotPinned, AppProof: NoAppProof, KeyPlace: NoKeySent, Nonces: NoNonces,
		Bodies: PlainBodies, Devices: NoDevices, UserProof: NoUser, UserKey: NoUserKey, Binding: NotBound, Sender: AnySender,
		Grant: NoGrants, ClientAuth: NoClientAuth, PKCE: NoPKCE, Providers: OneProvider, Gateway: Direct,
	}, API{
		UserAgents: AnyUserAgent, RateLimits: UnlimitedRates, KeyInURL: KeyInURLAccepted,
		SecretOverlap: Decide(time.Duration(0)), Authorization: NotAuthorized, Partners: NoPartners,
	}
}

// Auth is what the issuer of the stage's access tokens offers.
type Auth struct {
	Issuer      Issuer      `json:"issuer" title:"Access tokens are issued by" owner:"authorization server"`
	Grants      Grants      `json:"grants" title:"Grants" owner:"authorization server"`
	ClientAuth  ClientAuth  `json:"client_auth" title:"Clients authenticate at its endpoints" owner:"authorization server"`
	TokenLife   TokenLife   `json:"token_life" title:"Access tokens live" owner:"authorization server"`
	Revocations Revocations `json:"revocations" title:"Revoked access tokens"`
	TokenForm   TokenForm   `json:"token_form" title:"Access tokens are" owner:"authorization server"`
	Rotation    Rotation    `json:"rotation" title:"Refresh tokens" owner:"authorization server"`
	Answers     Answers     `json:"answers" title:"Fields of its answers" owner:"authorization server"`
	Requests    Requests    `json:"requests" title:"Authorization requests come" owner:"authorization server"`
	Redirects   Redirects   `json:"redirects" title:"Redirect URIs are compared" owner:"authorization server"`
	Responses   Responses   `json:"responses" title:"Redirects say which server answers" owner:"authorization server"`
	PKCE        PKCE        `json:"pkce" title:"Codes are bound to" owner:"authorization server"`
}

// CodesUnbound says whether codes are bound to nothing, and redeemed by a server that says where the app
// is that has them. There other things can be switched on against stolen codes.
func (a Auth) CodesUnbound() bool {
	return a.Grants.HasCode() && a.ClientAuth == ServersSecret && a.PKCE == NoPKCE
}

// Offers says whether tokens can be had by a grant. A server that offers refresh tokens offers the
// code grant that they begin with.
func (a Auth) Offers(grant Grants) bool {
	return a.Grants == grant || a.Grants == CodeAndRefresh && grant == CodeGrant
}

// Attestation is what the attestation service asks of the app. How long a challenge is and how
// long its tokens are good says settings.json.
type Attestation struct {
	Level         Level `json:"level" title:"Attestation" owner:"attestation service"`
	Executables   Claim `json:"executables" title:"Its program" owner:"attestation service"`
	Runtime       Claim `json:"runtime" title:"What it runs under" owner:"attestation service"`
	Configuration Claim `json:"configuration" title:"How its device and its connection are set up" owner:"attestation service"`
	Instance      Claim `json:"instance_identity" title:"Which installation it is" owner:"attestation service"`
}

// Package is the app package in use.
type Package struct {
	Release int     `json:"release" title:"Release of the app" owner:"package"` // 1, 2 or 3
	Secrets Secrets `json:"secrets" title:"Secrets in the app's package" owner:"package"`
}

// SecretlessRelease is the first release of the app that carries no secret.
const SecretlessRelease = 3

// Decided is a quantity that a policy has decided on; it may be 0. The zero value of the
// type is "not decided".
type Decided[T comparable] struct {
	value   T
	decided bool
}

// Duration is a length of time that a policy decides.
type Duration = Decided[time.Duration]

// Decide decides on a value.
func Decide[T comparable](value T) Decided[T] { return Decided[T]{value: value, decided: true} }

// Value is what was decided, and whether it was.
func (d Decided[T]) Value() (value T, decided bool) { return d.value, d.decided }

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

// KeyInURL says whether the app's key may come as a query parameter.
type KeyInURL string

// The policies for keys in URLs.
const (
	KeyInURLAccepted KeyInURL = "accepted"
	KeyInURLRefused  KeyInURL = "refused"
)

// Authorization says whose rights decide what a call may do.
type Authorization string

// The authorization policies. [NotAuthorized] skips the decision: every proven
// app may do everything; no stage uses it.
const (
	AppScopes     Authorization = "app-scopes"
	AppAndUser    Authorization = "app-and-user"       // what both may do, and on the user's accounts only
	AppUserToken  Authorization = "app-user-and-token" // ... and as far as the token's scope goes
	NotAuthorized Authorization = "none"
)

// Partners says whether partners' servers are served beside the apps, and how they prove
// who they are. The call policy of apps does not concern them.
type Partners string

// The policies for partners.
const (
	NoPartners            Partners = "none"
	PartnersByCertificate Partners = "client-certificate" // mutual TLS, whatever apps use
)

// Level is what the attestation service wants to see.
type Level string

// The levels.
const (
	NotAttested      Level = "none"
	PackageHash      Level = "package-hash"      // the hash of the package, as the app reports it
	PackageChallenge Level = "package-challenge" // and what bytes of it are, and what the app found out about its surroundings
	DeviceEvidence   Level = "device-evidence"   // what the device's secure hardware says and signs (RFC 9711)
)

// Claim says what becomes of something that the attestation service finds out (the names of what
// it finds out are those of a trustworthiness vector, draft-ietf-rats-ar4si).
type Claim string

// The policies for claims.
const (
	NotLookedAt Claim = "none"
	Watched     Claim = "watched"  // on record, and counted
	Enforced    Claim = "enforced" // an app with it gets no token that is good
)

// Secrets says how the app's package carries its secrets and pins.
type Secrets string

// The policies for secrets in packages.
const (
	NoSecrets     Secrets = "none"
	ClearSecrets  Secrets = "clear"
	HiddenSecrets Secrets = "hidden" // encoded, cut up, scattered; put together in memory only
)
