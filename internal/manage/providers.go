package manage

import (
	"context"
	"net/url"
	"time"

	"keyladder/stages/catalog"
)

// ProvidersPath is where the mediator has the providers whose client it is.
//
//	GET                     []Provider, by name
//	POST                    [Provider]: add one; answers with it
//	GET  /{name}            [Provider]
//	POST /{name}            [Provider]: change it as a whole; answers with it
//	POST /{name}/enable     offer it to users; answers with the [Provider]
//	POST /{name}/disable    offer it to nobody; answers with the [Provider]
//	GET  /{name}/versions   []ProviderVersion, the newest first
const ProvidersPath = "/providers"

// ProviderAuth is how the mediator authenticates at a provider, in the words of the registry of RFC
// 8414.
type ProviderAuth string

// The methods.
const (
	SecretBasic ProviderAuth = "client_secret_basic"
	SecretPost  ProviderAuth = "client_secret_post"
)

// UserSource says where the mediator finds out who has signed in at a provider.
type UserSource string

// The sources. An access token that is a JWT came from the provider itself, over TLS: that takes the
// place of its signature (as OpenID Connect Core 1.0 has it, section 3.1.3.7, item 6).
const (
	UserInToken         UserSource = "token"         // a claim of the access token, which is a JWT
	UserInUserinfo      UserSource = "userinfo"      // a member of what the userinfo endpoint answers
	UserInIntrospection UserSource = "introspection" // a member of what the introspection endpoint answers (RFC 7662)
)

// UserSources are all of them.
func UserSources() []UserSource {
	return []UserSource{UserInToken, UserInUserinfo, UserInIntrospection}
}

// Provider is an authorization server that vouches for users, as the mediator, a client of it, has
// it described. Differences between providers are here, and in no code.
//
// URLs can have {stage} in them, for the slug of the stage, and can begin with the name of a service
// of this deployment, {auth}, which is followed wherever that is. All others are https; http is for
// loopback addresses alone.
type Provider struct {
	Name   string `json:"name"`   // of one segment of a path: [a-z0-9-]
	Title  string `json:"title"`  // for the users who choose
	Issuer string `json:"issuer"` // compared as it is with the iss of its answers (RFC 9207)

	AuthorizationURL string `json:"authorization_url"`
	TokenURL         string `json:"token_url"`
	RevocationURL    string `json:"revocation_url,omitempty"` // empty: it has none, as with the next two
	UserinfoURL      string `json:"userinfo_url,omitempty"`
	IntrospectionURL string `json:"introspection_url,omitempty"`

	ClientID   string       `json:"client_id"`
	Secret     string       `json:"secret,omitempty"` // never in answers; empty in a change: the one that there is
	ClientAuth ProviderAuth `json:"client_auth"`
	PKCE       catalog.PKCE `json:"pkce"`
	// AnnouncesIss says that all its authorization responses have iss: one without is refused.
	AnnouncesIss bool              `json:"announces_iss"`
	Tokens       catalog.TokenForm `json:"tokens"`
	// Scopes are its words for our scopes, several with spaces between; what is not here is the same.
	Scopes map[string]string `json:"scopes,omitempty"`
	// Fields are its names for members of token answers; what is not here is as in RFC 6749.
	Fields map[string]string `json:"fields,omitempty"`

	User      UserSource `json:"user"`
	UserClaim string     `json:"user_claim"` // the name of the claim or member
	// SameNames says that its users are the bank's customers of the same name. Only the bank itself
	// can say that of all its users.
	SameNames bool `json:"same_names"`
	// Links says which customer of the bank a user of the provider is. A user who is in neither is refused.
	Links map[string]string `json:"links,omitempty"`

	// Apps are clients of the bank for which the mediator only adds a secret, where apps speak to
	// the provider themselves: the secret that each has at the provider, by client ID. In answers,
	// and in a change for the secret that there is, it is empty.
	Apps map[string]string `json:"apps,omitempty"`

	Enabled     bool      `json:"enabled"`
	Version     int       `json:"version"` // counts up with each change, from 1 on. A change has that of what it changes
	ChangedAt   time.Time `json:"changed_at"`
	RedirectURI string    `json:"redirect_uri"` // that the provider has to know; {stage} in it is the slug of a stage
}

// ProviderVersion is what a provider was from some time on.
type ProviderVersion struct {
	Provider
	SecretChanged bool `json:"secret_changed"` // it, or that of an app, is another than in the version before
}

// Providers returns all providers.
func Providers(ctx context.Context, d Doer) ([]Provider, error) {
	return Get[[]Provider](ctx, d, ProvidersPath)
}

// ProviderNamed returns one.
func ProviderNamed(ctx context.Context, d Doer, name string) (Provider, error) {
	return Get[Provider](ctx, d, providerPath(name))
}

func providerPath(name string) string { return ProvidersPath + "/" + url.PathEscape(name) }

// AddProvider adds one.
func AddProvider(ctx context.Context, d Doer, p Provider) (Provider, error) {
	return Post[Provider](ctx, d, ProvidersPath, p)
}

// ChangeProvider changes the one of that name as a whole. Where it was changed since p was read,
// nothing is (a conflict).
func ChangeProvider(ctx context.Context, d Doer, p Provider) (Provider, error) {
	return Post[Provider](ctx, d, providerPath(p.Name), p)
}

// EnableProvider offers a provider to users, or does not.
func EnableProvider(ctx context.Context, d Doer, name string, enabled bool) (Provider, error) {
	action := "/disable"
	if enabled {
		action = "/enable"
	}
	return Post[Provider](ctx, d, providerPath(name)+action, struct{}{})
}

// ProviderVersions returns what a provider was, the newest first.
func ProviderVersions(ctx context.Context, d Doer, name string) ([]ProviderVersion, error) {
	return Get[[]ProviderVersion](ctx, d, providerPath(name)+"/versions")
}
