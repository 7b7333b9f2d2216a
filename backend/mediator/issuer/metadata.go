package issuer

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
)

// metadata is what a client can find out about an issuer (RFC 8414, section 2; RFC 9126, section 5;
// RFC 9207, section 3).
type metadata struct {
	Issuer           string   `json:"issuer"`
	Authorization    string   `json:"authorization_endpoint"`
	Token            string   `json:"token_endpoint"`
	Revocation       string   `json:"revocation_endpoint"`
	Pushed           string   `json:"pushed_authorization_request_endpoint"`
	PushedAlone      bool     `json:"require_pushed_authorization_requests"`
	ResponseTypes    []string `json:"response_types_supported"`
	ResponseModes    []string `json:"response_modes_supported"`
	GrantTypes       []string `json:"grant_types_supported"`
	Scopes           []string `json:"scopes_supported"`
	TokenAuth        []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuth   []string `json:"revocation_endpoint_auth_methods_supported"`
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
	IssuerInResponse bool     `json:"authorization_response_iss_parameter_supported"`

	bound
}

// showMetadata says what the issuer offers, and so what it does not. That the app shows its client
// integrity token has no name there: to OAuth it is a public client. A client attestation has one.
//
//keyladder:code mediator-metadata
func (s *Server) showMetadata(c echo.Context, caller guard.Caller) error {
	issuer := s.issuer(caller.Stage())
	shown := metadata{
		Issuer: issuer, Authorization: issuer + "/authorize", Token: issuer + "/token", Revocation: issuer + "/revoke", Pushed: issuer + "/par", PushedAlone: true,
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"}, GrantTypes: []string{"authorization_code", "refresh_token"},
		Scopes: clients.Scopes(), TokenAuth: []string{"none"}, RevocationAuth: []string{"none"},
		ChallengeMethods: caller.Stage().Auth.PKCE.Methods(), IssuerInResponse: true,
	}
	shown.announce(caller.Stage().Policies)
	return c.JSON(http.StatusOK, shown)
}
