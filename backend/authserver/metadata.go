package authserver

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/stages/catalog"
)

// metadata is what a client can find out about an issuer (RFC 8414, section 2).
type metadata struct {
	Issuer             string   `json:"issuer"`
	Authorization      string   `json:"authorization_endpoint"`
	Token              string   `json:"token_endpoint,omitempty"`
	Revocation         string   `json:"revocation_endpoint"`
	Introspection      string   `json:"introspection_endpoint,omitempty"`
	ResponseTypes      []string `json:"response_types_supported"`
	ResponseModes      []string `json:"response_modes_supported"`
	GrantTypes         []string `json:"grant_types_supported"`
	Scopes             []string `json:"scopes_supported"`
	TokenAuth          []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	RevocationAuth     []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuth  []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	ChallengeMethods   []string `json:"code_challenge_methods_supported,omitempty"`     // RFC 7636, section 6.2
	IssuerInResponse   bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3
	UserInfo           string   `json:"userinfo_endpoint,omitempty"`                    // of OpenID Connect Discovery
	ServiceDescription string   `json:"service_documentation,omitempty"`
}

// showMetadata says what the stage's issuer offers, and so what it does not.
//
//keyladder:code auth-metadata
func (s *Server) showMetadata(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	issuer := s.issuer(stage)
	m := metadata{
		Issuer: issuer, Authorization: issuer + "/authorize", Revocation: issuer + "/revoke",
		ResponseTypes: []string{s.responseType(stage)}, ResponseModes: []string{"query"},
		Scopes: clients.Scopes(), RevocationAuth: authMethods(s.offer(stage)), ChallengeMethods: s.offer(stage).PKCE.Methods(), IssuerInResponse: s.offer(stage).Responses == catalog.NamedResponses,
	}
	switch s.offer(stage).Grants {
	case catalog.ImplicitGrant:
		m.GrantTypes, m.ResponseModes = []string{"implicit"}, []string{"fragment"}
	case catalog.CodeGrant:
		m.GrantTypes = []string{"authorization_code"}
	case catalog.CodeAndRefresh:
		m.GrantTypes = []string{"authorization_code", "refresh_token"}
	}
	if s.withTokenEndpoint(stage.Policies) {
		m.Token, m.TokenAuth = issuer+"/token", authMethods(s.offer(stage))
	}
	if s.withIntrospection(stage.Policies) {
		m.Introspection, m.IntrospectionAuth = issuer+"/introspect", slices.DeleteFunc(authMethods(s.offer(stage)), func(method string) bool { return method == "none" })
	}
	if s.withUserInfo(stage.Policies) {
		m.UserInfo = issuer + "/userinfo"
	}
	return c.JSON(http.StatusOK, m)
}

// authMethods are how clients authenticate; a public one says its ID alone.
func authMethods(offer catalog.Auth) []string {
	switch {
	case !offer.ClientAuth.Proven():
		return []string{"none"}
	case offer.ClientAuth == catalog.SecretInBody:
		return []string{"client_secret_post"}
	}
	return []string{"client_secret_basic", "client_secret_post", "none"}
}
