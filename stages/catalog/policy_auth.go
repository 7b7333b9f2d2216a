package catalog

// The values of an [Auth] policy, and of those fields of [Call] that are about getting tokens.

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
	// ByAttestation is the same with an attestation of the client and a proof that it has the key that
	// this names (draft-ietf-oauth-attestation-based-client-auth-12).
	ByAttestation ClientAuth = "client-attestation"
	// SecretInBody is [ClientSecret], and in the body alone.
	SecretInBody ClientAuth = "secret-in-body"
)

// Proven says whether clients show a secret, whoever has it.
func (a ClientAuth) Proven() bool {
	return a == ClientSecret || a == ServersSecret || a == SecretInBody
}

// Attested says whether an app shows what the attestation service has given it, and no secret.
func (a ClientAuth) Attested() bool { return a == Mediated || a == ByIntegrity || a == ByAttestation }

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

// Whether a refresh token that was used is replaced.
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
