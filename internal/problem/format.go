package problem

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Format is a way to write what went wrong.
type Format func(http.ResponseWriter, *Problem)

// Details writes problem details (RFC 9457).
func Details(w http.ResponseWriter, p *Problem) { p.Write(w) }

// oauthError is an error of an OAuth endpoint (RFC 6749, section 5.2).
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// OAuth writes the errors of token endpoints and their like (RFC 6749, section 5.2). There a
// client that is not accepted gets 401 where there is a challenge for it, and everything else
// that is wrong with a request gets 400. What HTTP itself has a status for, such as 429, keeps
// it.
func OAuth(w http.ResponseWriter, p *Problem) {
	status, e := p.Status, oauthError{Error: "invalid_request", Description: plain(p.Title, p.Detail)}
	switch p.Kind() {
	case "client-not-accepted", "client-certificate-required", "integrity-not-accepted":
		status, e.Error = http.StatusBadRequest, "invalid_client"
		if p.Header.Get("WWW-Authenticate") != "" {
			status = http.StatusUnauthorized
		}
	case "sign-in-failed", "session-not-accepted", "invalid-grant":
		status, e.Error = http.StatusBadRequest, "invalid_grant"
	case "not-allowed":
		status, e.Error = http.StatusBadRequest, "unauthorized_client"
	case "client-attestation-not-accepted": // draft-ietf-oauth-attestation-based-client-auth-12
		e.Error = "invalid_client_attestation"
	case "use-attestation-challenge":
		e.Error = "use_attestation_challenge"
	case "invalid-dpop-proof": // RFC 9449, section 5
		status, e.Error = http.StatusBadRequest, "invalid_dpop_proof"
	case "use-dpop-nonce": // section 8
		status, e.Error = http.StatusBadRequest, "use_dpop_nonce"
	case "unsupported-grant-type":
		e.Error = "unsupported_grant_type"
	case "invalid-scope":
		e.Error = "invalid_scope"
	case "rate-limited", "try-later":
		e.Error = "temporarily_unavailable" // of section 4.1.2.1, as many servers use it here, too
	default:
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			status = http.StatusBadRequest
		}
	}
	p.fields(w.Header())
	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	if status != http.StatusUnauthorized {
		w.Header().Del("WWW-Authenticate")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // the client went away: nobody left to tell
}

// Bearer makes the format of resources that take access tokens in the Authorization field
// (RFC 6750, section 3): a challenge says what is wrong, and the body is a problem. A request
// that brought no token is told nothing but the scheme (section 3.1).
func Bearer(realm string) Format {
	return func(w http.ResponseWriter, p *Problem) {
		challenge := `Bearer realm="` + plain(realm) + `"`
		switch {
		case p.Kind() == "token-missing":
		case p.Status == http.StatusUnauthorized:
			challenge += `, error="invalid_token", error_description="` + plain(p.Title, p.Detail) + `"`
		case p.Status == http.StatusForbidden:
			challenge += `, error="insufficient_scope", error_description="` + plain(p.Title, p.Detail) + `"`
		case p.Status == http.StatusBadRequest:
			challenge += `, error="invalid_request", error_description="` + plain(p.Title, p.Detail) + `"`
		default:
			p.Write(w)
			return
		}
		answer := *p
		answer.Header = maps.Clone(p.Header)
		answer.Header.Del("WWW-Authenticate")
		answer.With("WWW-Authenticate", challenge).Write(w)
	}
}

// plain joins sentences with the characters that error_description may have: printable ASCII
// without quotes and backslashes.
func plain(sentences ...string) string {
	text := strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), ": ")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
}
