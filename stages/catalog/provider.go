package catalog

// Provider is what a server offers to the stage's clients, be it the stage's issuer or, where users
// can choose, one of the providers that can vouch for them; false: it has no part in the stage.
//
// Where the mediator is the issuer, the bank's authorization server is one of its providers, and
// the mediator a client of it like any other.
func (p Policies) Provider(server Issuer) (Auth, bool) {
	switch {
	case server == p.Auth.Issuer && server != NoIssuer:
		return p.Auth, true
	case p.Call.Providers == OneProvider || p.Call.Providers == "":
		return Auth{}, false
	case server == LiteServer:
		return liteProvider, true
	case server == AuthServer:
		return bankProvider, true
	}
	return Auth{}, false
}

// Names of providers, where users choose one.
const (
	Bank = "bank" // the bank's own, and the one to ask where none is named
	Lite = "lite" // of another company
)

// Choice is a provider that users can choose.
type Choice struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// Choices are the providers among which users choose in the app; none: they do not.
func (c Call) Choices() []Choice {
	if c.Providers != ChosenInApp {
		return nil
	}
	return []Choice{{Name: Bank, Title: AuthServer.Company()}, {Name: Lite, Title: LiteServer.Company()}}
}

// Company is who runs a server that issues tokens, as its pages name themselves.
func (i Issuer) Company() string {
	if i == LiteServer {
		return "Harbour Lite"
	}
	return "Harbour Bank"
}

// Offers to the mediator, which is a client that keeps a secret.
var (
	bankProvider = Auth{
		Issuer: AuthServer, Grants: CodeAndRefresh, ClientAuth: ClientSecret,
		TokenLife: ShortLivedTokens, Revocations: RevokedRefused, TokenForm: JWTs, Rotation: Rotated, Answers: StandardAnswers,
		Requests: RequestsInURL, Redirects: ExactRedirects, Responses: NamedResponses, PKCE: S256PKCE,
	}
	// liteProvider is as providers are that were built before RFC 7636 and RFC 9700.
	liteProvider = Auth{
		Issuer: LiteServer, Grants: CodeAndRefresh, ClientAuth: SecretInBody,
		TokenLife: LongLivedTokens, Revocations: RevokedRefused, TokenForm: OpaqueTokens, Rotation: Reusable, Answers: OddAnswers,
		Requests: RequestsInURL, Redirects: PrefixRedirects, Responses: UnnamedResponses, PKCE: NoPKCE,
	}
)
