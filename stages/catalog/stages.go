package catalog

import "time"

// appKeyPolicies are where the ladder begins: an app ID over plain HTTP.
var appKeyPolicies = Policies{
	Call: Call{
		Transport: PlainHTTP,
		Pins:      NotPinned,
		AppProof:  AppKey,
		KeyPlace:  KeyInPublicURLs,
		Nonces:    NoNonces,
		Bodies:    PlainBodies,
		Devices:   NoDevices,
		UserProof: NoUser,
		UserKey:   NoUserKey,
		Binding:   NotBound,
		Sender:    AnySender,

		Grant:      NoGrants,
		ClientAuth: NoClientAuth,
		PKCE:       NoPKCE,
		Providers:  OneProvider,
		Gateway:    Direct,
	},
	API: API{
		UserAgents:    RegisteredUserAgents,
		RateLimits:    LimitedRates,
		KeyInURL:      KeyInURLAccepted,
		SecretOverlap: Decide(time.Duration(0)), // whoever rotates a secret breaks the installed apps
		Authorization: AppScopes,
		Partners:      NoPartners,
	},
	Auth: Auth{
		Issuer: NoIssuer, Grants: NoGrants, ClientAuth: NoClientAuth, TokenLife: NoTokens, Revocations: NoRevocations,
		TokenForm: NoTokenForm, Rotation: NotRefreshed, Answers: StandardAnswers, Requests: NoRequests, Redirects: NoRedirects, Responses: NoResponses, PKCE: NoPKCE,
	},
	Attestation: notAttested,
	Package:     Package{Release: 1, Secrets: ClearSecrets},
}

var notAttested = Attestation{Level: NotAttested, Executables: NotLookedAt, Runtime: NotLookedAt, Configuration: NotLookedAt, Instance: NotLookedAt}

// but is policies with some fields decided anew, so that each stage reads as the
// difference to the one before.
func (p Policies) but(change func(*Policies)) Policies {
	change(&p)
	return p
}

var tlsPolicies = appKeyPolicies.but(func(p *Policies) {
	p.Call.Transport = TLS
	p.Call.KeyPlace = KeyInField
	p.API.KeyInURL = KeyInURLRefused
})

var pinnedPolicies = tlsPolicies.but(func(p *Policies) {
	p.Call.Transport = MutualTLS
	p.Call.Pins = Pinned
	p.API.Partners = PartnersByCertificate
})

var hmacPolicies = pinnedPolicies.but(func(p *Policies) {
	p.Call.AppProof = Hawk
	p.Call.KeyPlace = NoKeySent
	p.Call.Nonces = NoncesForgotten
	p.Call.Devices = RegisteredDevices
})

var hiddenPolicies = hmacPolicies.but(func(p *Policies) {
	p.Call.Nonces = NoncesRemembered
	p.Call.Bodies = SealedBodies
	p.Package = Package{Release: 2, Secrets: HiddenSecrets}
})

var sessionPolicies = hiddenPolicies.but(func(p *Policies) {
	p.Call.UserProof = UserSession
	p.Call.UserKey = UserKeyInStorage
	p.Call.Binding = SessionOfCall
	p.API.Authorization = AppAndUser
})

// passwordGrantPolicies are where chapter 2 begins. The app proves less than before: its ID
// says which client it is, and no secret stands behind it. All that needs the secret of a Hawk
// MAC goes with it, until the client secret is back.
var passwordGrantPolicies = sessionPolicies.but(func(p *Policies) {
	p.Call.Transport = TLS
	p.Call.AppProof = AppKey
	p.Call.KeyPlace = KeyInField
	p.Call.Nonces = NoNonces
	p.Call.Bodies = PlainBodies
	p.Call.Devices = NoDevices
	p.Call.UserProof = AccessToken
	p.Call.UserKey = UserKeyInMemory
	p.Call.Binding = TokenOfClient
	p.API.Authorization = AppUserToken
	p.Call.Grant = PasswordGrant
	p.Auth = Auth{
		Issuer: ResourceServer, Grants: PasswordGrant, ClientAuth: NoClientAuth,
		TokenLife: LongLivedTokens, Revocations: RevokedRefused,
		TokenForm: JWTs, Rotation: NotRefreshed, Answers: StandardAnswers, Requests: NoRequests, Redirects: NoRedirects, Responses: NoResponses, PKCE: NoPKCE,
	}
})

var implicitGrantPolicies = passwordGrantPolicies.but(func(p *Policies) {
	p.Call.Grant = ImplicitGrant
	p.Auth.Issuer = AuthServer
	p.Auth.Grants = ImplicitGrant
	p.Auth.Requests = RequestsInURL
	p.Auth.Redirects = ExactRedirects
	p.Auth.Responses = NamedResponses
})

// codeGrantPolicies bring the app's secret back, now as the client secret of OAuth: at the
// token endpoint, and in the MAC of each call.
var codeGrantPolicies = implicitGrantPolicies.but(func(p *Policies) {
	p.Call.AppProof = Hawk
	p.Call.KeyPlace = NoKeySent
	p.Call.Nonces = NoncesRemembered
	p.Call.Binding = TokenOfCall
	p.Call.Grant = CodeGrant
	p.Call.ClientAuth = ClientSecret
	p.API.SecretOverlap = Decide(time.Hour)
	p.Auth.Grants = CodeGrant
	p.Auth.ClientAuth = ClientSecret
})

var refreshPolicies = codeGrantPolicies.but(func(p *Policies) {
	p.Call.Grant = CodeAndRefresh
	p.Call.UserKey = UserKeyInStorage
	p.Auth.Grants = CodeAndRefresh
	p.Auth.TokenLife = ShortLivedTokens
	p.Auth.Rotation = Rotated
})

// attestedHashPolicies let the attestation service prove the app. The defences that signed calls
// were good for go with the signatures.
var attestedHashPolicies = refreshPolicies.but(func(p *Policies) {
	p.Call.AppProof = IntegrityToken
	p.Call.Nonces = NoNonces
	p.Call.Binding = TokenOfClient
	p.API.SecretOverlap = Decide(30 * time.Second) // servers learn of another one within a second
	p.Attestation = Attestation{Level: PackageHash, Executables: Enforced, Runtime: NotLookedAt, Configuration: NotLookedAt, Instance: Enforced}
})

var attestedChallengePolicies = attestedHashPolicies.but(func(p *Policies) {
	p.Attestation = Attestation{Level: PackageChallenge, Executables: Enforced, Runtime: Enforced, Configuration: Enforced, Instance: Enforced}
})

// mediatedPolicies take the last secret out of the app.
var mediatedPolicies = attestedChallengePolicies.but(func(p *Policies) {
	p.Call.ClientAuth = Mediated
	p.Auth.ClientAuth = ServersSecret
	p.Package = Package{Release: 3, Secrets: NoSecrets}
})

// pkcePlainPolicies bind a code to the app instance that has asked for it.
var pkcePlainPolicies = mediatedPolicies.but(func(p *Policies) {
	p.Call.PKCE = PlainPKCE
	p.Auth.PKCE = PlainPKCE
})

// pkceS256Policies do it so that the request does not give it away. Its worth depends on
// the provider, and there is another one now.
var pkceS256Policies = pkcePlainPolicies.but(func(p *Policies) {
	p.Call.PKCE = S256PKCE
	p.Auth.PKCE = S256PKCE
	p.Call.Providers = ChosenInApp
})

// extendedMediatorPolicies put the mediator before all that apps talk to.
var extendedMediatorPolicies = pkceS256Policies.but(func(p *Policies) {
	p.Call.Binding = TokenOfDevice
	p.Call.ClientAuth = ByIntegrity
	p.Call.Providers = ChosenAtMediator
	p.Call.Gateway = ThroughGateway
	p.Auth.Issuer = MediatorIssuer
	p.Auth.ClientAuth = ByIntegrity
	p.Auth.Requests = PushedRequests
})

// deviceBoundPolicies bind all that the app gets to a key that nobody can take out of its device.
var deviceBoundPolicies = extendedMediatorPolicies.but(func(p *Policies) {
	p.Call.Binding = TokenOfKey
	p.Call.Sender = DPoPProofs
	p.Call.ClientAuth = ByAttestation
	p.Auth.ClientAuth = ByAttestation
	p.Attestation.Level = DeviceEvidence
})

// signedCallsPolicies have the key sign the calls themselves.
var signedCallsPolicies = deviceBoundPolicies.but(func(p *Policies) {
	p.Call.Sender = SignedMessages
})

var stages = Set{
	{
		Number: 1, Slug: "app-id", Chapter: 1, Built: true, Policies: appKeyPolicies,
		Title: "A bare app ID",
		Adds:  "Every app has an ID and sends it with each call, over plain HTTP. Unknown IDs are refused, known ones have scopes, rate limits and statistics.",
	},
	{
		Number: 2, Slug: "tls", Chapter: 1, Built: true, Policies: tlsPolicies,
		Title: "TLS",
		Adds:  "The channel is encrypted and the server is authenticated against the device's trust store. The ID is no longer accepted in a URL.",
	},
	{
		Number: 3, Slug: "pinned-mtls", Chapter: 1, Built: true, Policies: pinnedPolicies,
		Title: "Mutual TLS and pinning",
		Adds:  "The app shows a client certificate of its own, and accepts the server only with a public key that it was shipped with.",
	},
	{
		Number: 4, Slug: "hmac", Chapter: 1, Built: true, Policies: hmacPolicies,
		Title: "Signed requests",
		Adds:  "The key becomes an ID and a shared secret that never travels: each request carries a Hawk MAC over itself and its body, and so does each response.",
	},
	{
		Number: 5, Slug: "hidden-secrets", Chapter: 1, Built: true, Policies: hiddenPolicies,
		Title: "Hidden secrets",
		Adds:  "Secrets and pins are cut up and scattered in the package and put together in memory only. Nonces are remembered, bodies are encrypted before they are signed.",
	},
	{
		Number: 6, Slug: "user-session", Chapter: 1, Built: true, Policies: sessionPolicies,
		Title: "User sessions",
		Adds:  "The user signs in with a password and gets a random session key that stands for it. Rights are what the app and the user may both do.",
	},
	{
		Number: 7, Slug: "password-grant", Chapter: 2, Built: true, Policies: passwordGrantPolicies,
		Title: "Password grant and JWT",
		Adds:  "The session key becomes a JWT access token that the server can check without looking anything up.",
	},
	{
		Number: 8, Slug: "implicit-grant", Chapter: 2, Built: true, Policies: implicitGrantPolicies,
		Title: "Implicit grant",
		Adds:  "A separate authorization server asks the user in the user agent; the API no longer sees credentials. The token comes back in the URL fragment.",
	},
	{
		Number: 9, Slug: "code-grant", Chapter: 2, Built: true, Policies: codeGrantPolicies,
		Title: "Authorization code grant",
		Adds:  "The user agent carries a code only, which the app exchanges with its client secret. The app also proves itself on every call.",
	},
	{
		Number: 10, Slug: "refresh", Chapter: 2, Built: true, Policies: refreshPolicies,
		Title: "Refresh tokens",
		Adds:  "Access tokens live for a minute; refresh tokens are rotated at each use, and the reuse of an old one revokes the whole family.",
	},
	{
		Number: 11, Slug: "attested-hash", Chapter: 2, Built: true, Policies: attestedHashPolicies,
		Title: "Attestation by hash",
		Adds:  "An attestation service trades a hash of the package for a client integrity token, which every call carries beside the access token.",
	},
	{
		Number: 12, Slug: "attested-challenge", Chapter: 2, Built: true, Policies: attestedChallengePolicies,
		Title: "Attestation by challenge",
		Adds:  "The service asks for a keyed digest over random ranges of the package and for what the app finds out about its surroundings.",
	},
	{
		Number: 13, Slug: "mediated", Chapter: 2, Built: true, Policies: mediatedPolicies,
		Title: "Authorization mediator",
		Adds:  "The app holds no secret at all: a mediator checks its integrity token and adds the client secret on its way to the authorization server.",
	},
	{
		Number: 14, Slug: "pkce-plain", Chapter: 3, Built: true, Policies: pkcePlainPolicies,
		Title: "PKCE, plain",
		Adds:  "A code is only good together with the verifier that the app made up for it. The challenge is the verifier itself.",
	},
	{
		Number: 15, Slug: "pkce-s256", Chapter: 3, Built: true, Policies: pkceS256Policies,
		Title: "PKCE, S256",
		Adds:  "The challenge is a hash of the verifier, so that seeing the request does not help.",
	},
	{
		Number: 16, Slug: "extended-mediator", Chapter: 3, Built: true, Policies: extendedMediatorPolicies,
		Title: "Extended mediator",
		Adds:  "The mediator is the one authorization server that the app knows, strict whatever the providers behind it do, and the gateway in front of the API.",
	},
	{
		Number: 17, Slug: "device-bound", Chapter: 4, Built: true, Policies: deviceBoundPolicies,
		Title: "Device-bound tokens",
		Adds:  "Tokens are bound to a key in the device's secure hardware, and every call proves possession of that key once.",
	},
	{
		Number: 18, Slug: "signed-calls", Chapter: 4, Built: true, Policies: signedCallsPolicies,
		Title: "Signed calls",
		Adds:  "Every call and every response is an HTTP message signed with the device's key.",
	},
}
