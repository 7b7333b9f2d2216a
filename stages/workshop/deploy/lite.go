package deploy

import (
	"encoding/json"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

// apiClient is the bank's API, as the other company's authorization server knows it.
const apiClient = "harbour-api"

// clientsOfLite are those at the other company's authorization server. All are confidential, the
// bank's app as well: its secret there the mediator has alone.
func clientsOfLite(callbacks []string) []manage.App {
	scopes := []string{"rates:read", "accounts:read", "transfers:write"}
	return []manage.App{
		{ID: products[0].clientID, Name: "Harbour Bank for phones", UserAgent: "HarbourBank/", Scopes: scopes, RedirectURIs: []string{RedirectURI()}},
		{ID: mediatorClient, Name: "Harbour Bank", UserAgent: "HarbourMediator/", Scopes: scopes, RedirectURIs: callbacks},
		{ID: apiClient, Kind: manage.ResourceServer, Name: "Harbour Bank's API", UserAgent: "HarbourAPI/", Scopes: []string{}},
	}
}

// writeLite writes the folder of the other company's authorization server. Its users are the same
// people, with the same passwords.
func (m *material) writeLite(o Options, w *deployment.Writer) error {
	registered, err := m.registry(clientsOfLite(callbacks(o.Stages, "lite")))
	if err != nil {
		return err
	}
	secrets, err := json.MarshalIndent(m.liteSecrets, "", "  ")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"clients.json": registered, "secrets.json": secrets, "users.json": m.users} {
		if err := w.File(name, data); err != nil {
			return err
		}
	}
	return w.Pair("server", m.liteAuth)
}

// introspection is how the resource server asks that server about access tokens.
func (m *material) introspection() ([]byte, error) {
	return json.MarshalIndent(deployment.Client{ID: apiClient, Secret: m.liteSecrets[apiClient]}, "", "  ")
}
