package authserver

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
)

// parameter is one of a redirect. They have an order, so that redirects look alike.
type parameter struct{ name, value string }

// back leads back to the client: with 303, so that no browser sends the user's password on
// (RFC 9700, section 4.12). State is as it came, and iss says who answers (RFC 9207), so that a
// client that knows several servers can't mix them up, unless this is a server that does not know that.
//
//keyladder:code authorization-response
func (s *Server) back(c echo.Context, stage catalog.Stage, r request, parameters ...parameter) error {
	if r.hasState {
		parameters = append(parameters, parameter{"state", r.state})
	}
	if s.offer(stage).Responses == catalog.NamedResponses {
		parameters = append(parameters, parameter{"iss", s.issuer(stage)})
	}
	encoded := make([]string, len(parameters))
	for i, p := range parameters {
		encoded[i] = p.name + "=" + strings.ReplaceAll(url.QueryEscape(p.value), "+", "%20") // scripts that read fragments know no plus
	}
	separator := "?"
	switch {
	case r.inFragment:
		separator = "#" // it is for what runs in the user agent, and not sent to any server
	case strings.Contains(r.redirectURI, "?"):
		separator = "&"
	}
	return c.Redirect(http.StatusSeeOther, r.redirectURI+separator+strings.Join(encoded, "&"))
}

// Errors of the authorization endpoint (RFC 6749, sections 4.1.2.1 and 4.2.2.1).
const (
	accessDenied            = "access_denied"
	invalidRequest          = "invalid_request"
	invalidScope            = "invalid_scope"
	unsupportedResponseType = "unsupported_response_type"
	unauthorizedClient      = "unauthorized_client"
)

// refusal is why a client gets no access, which it is told by a redirect.
type refusal struct {
	check   catalog.Check
	code    string // of RFC 6749
	words   string // for the client's developer
	private string // for the record
}

// refuse leads back to the client with an error.
func (s *Server) refuse(c echo.Context, stage catalog.Stage, r request, f refusal) error {
	if err := s.back(c, stage, r, parameter{"error", f.code}, parameter{"error_description", f.words}); err != nil {
		return err
	}
	return &guard.Refusal{Check: f.check, Reason: f.private, Answered: true}
}
