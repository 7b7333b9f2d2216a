package deploy

import (
	"encoding/json"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// mediatorClient is the mediator, as providers know it.
const mediatorClient = "harbour-mediator"

// providers are those that the mediator knows from the beginning.
func (m *material) providers() ([]byte, error) {
	return json.MarshalIndent([]manage.Provider{m.bank(), m.lite()}, "", "  ")
}

// bank is the bank's own authorization server.
func (m *material) bank() manage.Provider {
	return manage.Provider{
		Name: "bank", Title: "Harbour Bank", Issuer: "{auth}/{stage}",
		AuthorizationURL: "{auth}/{stage}/authorize", TokenURL: "{auth}/{stage}/token", RevocationURL: "{auth}/{stage}/revoke",
		IntrospectionURL: "{auth}/{stage}/introspect",
		ClientID:         mediatorClient, Secret: m.clientSecrets[mediatorClient], ClientAuth: manage.SecretBasic,
		PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs,
		User: manage.UserInToken, UserClaim: "sub", SameNames: true,
		Enabled: true,
	}
}

// lite is a provider that was built before RFC 7636 and RFC 9700. Its customers have linked their
// accounts there to those at the bank.
func (m *material) lite() manage.Provider {
	links := map[string]string{}
	for _, user := range people {
		if !user.Staff {
			links[user.Name] = user.Name
		}
	}
	return manage.Provider{
		Name: "lite", Title: catalog.LiteServer.Company(), Issuer: "{lite}/{stage}",
		AuthorizationURL: "{lite}/{stage}/authorize", TokenURL: "{lite}/{stage}/token", RevocationURL: "{lite}/{stage}/revoke",
		IntrospectionURL: "{lite}/{stage}/introspect",
		ClientID:         mediatorClient, Secret: m.liteSecrets[mediatorClient], ClientAuth: manage.SecretPost,
		PKCE: catalog.NoPKCE, Tokens: catalog.OpaqueTokens, Fields: map[string]string{"expires_in": "expires"},
		User: manage.UserInIntrospection, UserClaim: "username", Links: links,
		Apps:    map[string]string{products[0].clientID: m.liteSecrets[products[0].clientID]},
		Enabled: true,
	}
}
