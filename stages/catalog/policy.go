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

// NothingAsked are the policies of calls that anybody may make in any way. What is asked of
// callers that are no apps is built up from it.
func NothingAsked() (Call, API) {
	return Call{
		Transport: PlainHTTP, Pins: NotPinned, AppProof: NoAppProof, KeyPlace: NoKeySent, Nonces: NoNonces,
		Bodies: PlainBodies, Devices: NoDevices, UserProof: NoUser, UserKey: NoUserKey, Binding: NotBound,
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

// Offers says whether tokens can be had by a grant. Whoever offers refresh tokens offers the
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

// Transport is the least protection that a connection must have.
type Transport string

// The transports, weakest first.
const (
	PlainHTTP Transport = "http"
	TLS       Transport = "tls"
	MutualTLS Transport = "mutual-tls"
)

// Pins says whether the app compares the server's public key with pins.
type Pins string

// The pin policies.
const (
	Pinned    Pins = "pinned"
	NotPinned Pins = "not-pinned"
)

// AppProof is how the calling app proves which app it is.
type AppProof string

// The app proofs. [NoAppProof] lets any program in; no stage uses it.
const (
	AppKey     AppProof = "app-key"
	Hawk       AppProof = "hawk" // a MAC over the request under the app's secret
	NoAppProof AppProof = "none"
	// IntegrityToken is a token with which an attestation service says that the app is the genuine
	// one. It has a field of its own, and the app keeps no secret for it.
	IntegrityToken AppProof = "integrity-token"
)

// Signs says whether the proof is made anew for each call, over what is in it.
func (p AppProof) Signs() bool { return p == Hawk }

// KeyPlace says where the app puts its key, where that is its proof. Whether the API takes
// one in a URL is [KeyInURL].
type KeyPlace string

// The places.
const (
	NoKeySent       KeyPlace = "none"
	KeyInField      KeyPlace = "field"              // Authorization, always
	KeyInPublicURLs KeyPlace = "url-of-public-data" // in the query where no user is asked for, as old apps did
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

// The body policies. No stage uses the third.
const (
	PlainBodies    Bodies = "plain"
	SealedBodies   Bodies = "sealed"          // JWE under a key derived from the app's secret
	SealedPortions Bodies = "sealed-portions" // the same, of what [Confidential] names
)

// Confidential are the members of the API's JSON that [SealedPortions] seals, in requests
// and answers.
func Confidential() []string {
	return []string{"from", "to", "amount", "balance", "guid", "session_key"}
}

// Devices says whether installations are told apart.
type Devices string

// The device policies.
const (
	NoDevices         Devices = "none"
	RegisteredDevices Devices = "registered" // the device's identifier and the GUID it got for it go with every call
)

// UserProof is how the resource owner is proven.
type UserProof string

// The user proofs.
const (
	NoUser      UserProof = "none"
	UserSession UserProof = "session"      // a random key that stands for the user's sign-in
	AccessToken UserProof = "access-token" // a signed token that says who the user is (RFC 9068)
)

// UserKey says where the app keeps what stands for its user, such as a session key.
type UserKey string

// The places. What is in memory ends with the app's process, and its user has to sign in anew.
// What is in storage stays, and is in each copy of the storage.
const (
	NoUserKey        UserKey = "none"
	UserKeyInMemory  UserKey = "memory"
	UserKeyInStorage UserKey = "storage" // if the user wants to stay signed in
)

// Binding ties app, user and request to each other.
type Binding string

// The bindings, weakest first for each proof of the user. No stage uses the first two of
// sessions.
const (
	NotBound        Binding = "none"
	SessionOfApp    Binding = "session-of-app"    // a session is good with the app that it was opened with
	SessionOfDevice Binding = "session-of-device" // ... and on the device that it was opened on
	SessionOfCall   Binding = "session-of-call"   // ... and in the calls that were signed with it
	TokenOfClient   Binding = "token-of-client"   // an access token is good with the client that it was issued to
	TokenOfCall     Binding = "token-of-call"     // ... and in the calls that were signed with it
	TokenOfDevice   Binding = "token-of-device"   // an access token is good with the client and the installation that it was issued to
)

// ForTokens says whether the binding is one of access tokens.
func (b Binding) ForTokens() bool {
	return b == TokenOfClient || b == TokenOfCall || b == TokenOfDevice
}

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
// who they are. What the call policy asks of apps does not concern them.
type Partners string

// The policies for partners.
const (
	NoPartners            Partners = "none"
	PartnersByCertificate Partners = "client-certificate" // mutual TLS, whatever apps use
)

// Issuer is the server that issues access tokens.
type Issuer string

// The issuers.
const (
	NoIssuer       Issuer = "none"
	ResourceServer Issuer = "resource-server" // by a token endpoint of its own
	AuthServer     Issuer = "authorization-server"
	MediatorIssuer Issuer = "mediator" // to which other issuers are providers: see [Policies.Provider]
	LiteServer     Issuer = "lite"     // a provider, and no stage's issuer
)

// Separate says whether it is a server of its own, which owns the clients as well.
func (i Issuer) Separate() bool { return i == AuthServer || i == MediatorIssuer }

// Grants are the ways in which a client gets access tokens (RFC 6749, section 4).
type Grants string

// The grants.
const (
	NoGrants       Grants = "none"
	PasswordGrant  Grants = "password"         // of section 4.3: the client passes on the user's password
	ImplicitGrant  Grants = "implicit"         // of section 4.2: the token comes in the redirect
	CodeGrant      Grants = "code"             // of section 4.1: a code comes in the redirect, and is exchanged
	CodeAndRefresh Grants = "code-and-refresh" // ... for a refresh token as well, section 6
)

// InAgent says whether the user signs in on a page in the user agent, and the app is told what
// came of it by a redirect.
func (g Grants) InAgent() bool { return g == ImplicitGrant || g.HasCode() }

// HasCode says whether the redirect brings a code.
func (g Grants) HasCode() bool { return g == CodeGrant || g == CodeAndRefresh }

// ClientAuth is how a client authenticates at the endpoints of the authorization server (RFC
// 6749, section 2.3).
type ClientAuth string

// The ways.
const (
	NoClientAuth ClientAuth = "none"   // it says which it is
	ClientSecret ClientAuth = "secret" // in the field of Basic authentication, or in the body
	// ServersSecret is the same with a secret that servers share and no app carries, for clients
	// that have one. The others have their own.
	ServersSecret ClientAuth = "servers-secret"
	// Mediated is an app's way where servers have the secret: it shows its client integrity token to
	// a mediator, which adds the secret.
	Mediated ClientAuth = "mediated"
	// ByIntegrity is the same where the mediator is the issuer itself.
	ByIntegrity ClientAuth = "integrity-token"
	// SecretInBody is [ClientSecret], and in the body alone.
	SecretInBody ClientAuth = "secret-in-body"
)

// Proven says whether clients show a secret, whoever has it.
func (a ClientAuth) Proven() bool {
	return a == ClientSecret || a == ServersSecret || a == SecretInBody
}

// Attested says whether an app shows its client integrity token, and no secret.
func (a ClientAuth) Attested() bool { return a == Mediated || a == ByIntegrity }

// PKCE is what an authorization code is bound to (RFC 7636): a secret that the client makes up for
// each request, and shows when it redeems the code.
type PKCE string

// The methods. Where plain is offered S256 is too, because each server has to know it (section
// 4.2); the app uses the one that its stage is about.
const (
	NoPKCE    PKCE = "none"
	PlainPKCE PKCE = "plain"
	S256PKCE  PKCE = "S256"
)

// Methods are those that a server accepts challenges of, as RFC 7636 spells them; none: it knows no
// challenges, and ignores them like any parameter that it does not know.
func (p PKCE) Methods() []string {
	switch p {
	case PlainPKCE:
		return []string{string(PlainPKCE), string(S256PKCE)}
	case S256PKCE:
		return []string{string(S256PKCE)}
	}
	return nil
}

// Providers says on whose page users sign in, where there is more than one that can vouch for them.
type Providers string

// The ways to choose.
const (
	OneProvider      Providers = "one"
	ChosenInApp      Providers = "chosen-in-app"      // the bank's authorization server, or [LiteServer]
	ChosenAtMediator Providers = "chosen-at-mediator" // which the app alone knows
)

// Gateway says how calls get to the API.
type Gateway string

// The ways.
const (
	Direct         Gateway = "direct"
	ThroughGateway Gateway = "gateway" // which is the mediator
)

// TokenForm is what an access token is.
type TokenForm string

// The forms.
const (
	NoTokenForm  TokenForm = "none"
	JWTs         TokenForm = "jwt"    // RFC 9068
	OpaqueTokens TokenForm = "opaque" // what it stands for the issuer alone knows (RFC 7662)
)

// Rotation is what becomes of a refresh token that is used.
type Rotation string

// What becomes of it.
const (
	NotRefreshed Rotation = "none"
	Rotated      Rotation = "rotated" // it brings its successor, and is good no more
	Reusable     Rotation = "reusable"
)

// Answers says what the fields of token answers are called.
type Answers string

// The names.
const (
	StandardAnswers Answers = "standard" // of RFC 6749, section 5.1
	OddAnswers      Answers = "odd"      // "expires" in place of "expires_in"
)

// Requests says how authorization requests reach the issuer.
type Requests string

// The ways.
const (
	NoRequests     Requests = "none"
	RequestsInURL  Requests = "url"    // through the user agent
	PushedRequests Requests = "pushed" // from the client (RFC 9126); the user agent brings a reference
)

// Redirects says how redirect URIs are compared with those that a client has registered.
type Redirects string

// The ways. [PrefixRedirects] is what RFC 9700 forbids (section 4.1).
const (
	NoRedirects     Redirects = "none"
	ExactRedirects  Redirects = "exact"
	PrefixRedirects Redirects = "prefix"
)

// Responses says whether an authorization response names its issuer (RFC 9207), so that a client
// that knows several servers can't take one's response for another's.
type Responses string

// The ways.
const (
	NoResponses      Responses = "none"
	NamedResponses   Responses = "iss"
	UnnamedResponses Responses = "unnamed"
)

// TokenLife is how long access tokens are good. How many seconds that are says settings.json.
type TokenLife string

// The lives.
const (
	NoTokens         TokenLife = "none"
	LongLivedTokens  TokenLife = "long"
	ShortLivedTokens TokenLife = "short"
)

// Revocations says whether an access token can be ended before it expires.
type Revocations string

// The policies for revoked tokens. [RevokedServed] shows what a token is without a list of
// those that were revoked; no stage uses it.
const (
	NoRevocations  Revocations = "none"
	RevokedServed  Revocations = "served" // the list is not looked at
	RevokedRefused Revocations = "refused"
)

// Level is what the attestation service wants to see.
type Level string

// The levels.
const (
	NotAttested      Level = "none"
	PackageHash      Level = "package-hash"      // the hash of the package, as the app reports it
	PackageChallenge Level = "package-challenge" // and what bytes of it are, and what the app found out about its surroundings
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
