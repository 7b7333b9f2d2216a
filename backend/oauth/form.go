package oauth

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"keyladder/backend/guard"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Form is the parameters of a request, each once.
type Form map[string]string

// MediaType is how the parameters come (RFC 6749, appendix B).
const MediaType = "application/x-www-form-urlencoded"

// ReadForm reads the parameters out of a body. Parameters without a value count as left out
// (RFC 6749, section 3.2), and one that is there twice is refused. The query of the URL is no
// place for them: what is in it ends up in logs.
//
//keyladder:code oauth-form
func ReadForm(r *http.Request, body []byte) (Form, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != MediaType {
		return nil, Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "The parameters can't be read",
			"Send them in the body as "+MediaType+"."), "the media type is %q", r.Header.Get("Content-Type"))
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "The parameters can't be read",
			"Encode them as "+MediaType+" has it."), "the form can't be read")
	}
	form := Form{}
	for name, all := range values {
		if len(all) > 1 {
			return nil, Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "A parameter is there twice",
				"Send each once."), "the parameter %.40q is there %d times", name, len(all))
		}
		if all[0] != "" {
			form[name] = all[0]
		}
	}
	for _, secret := range []string{"password", "client_secret", "token", "code", "code_verifier", "refresh_token"} {
		if r.URL.Query().Has(secret) {
			return nil, Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "The URL has a parameter that belongs into the body",
				"URLs end up in logs. Replace the credentials that were sent in one."), "%s is in the URL", secret)
		}
	}
	return form, nil
}

// Required is a parameter that has to be there.
func (f Form) Required(name string) (string, error) {
	if f[name] == "" {
		return "", Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "A parameter is missing", "Send "+name+"."), "%s is missing", name)
	}
	return f[name], nil
}

// Scope is what a request asks for: names, each once. None: it does not say. It refuses what is
// no list of names (RFC 6749, section 3.3).
func (f Form) Scope() ([]string, error) {
	text := f["scope"]
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return nil, Refuse(catalog.CheckWanted, InvalidScope("It has characters that no scope has."), "the scope has %q in it", c)
		}
	}
	return strings.Fields(text), nil
}

// InvalidScope is the problem of a request that asks for what there is not.
func InvalidScope(detail string) *problem.Problem {
	return problem.New(http.StatusBadRequest, "invalid-scope", "That scope can't be had", detail)
}

// Refuse is the refusal of an endpoint's check.
func Refuse(check catalog.Check, p *problem.Problem, reason string, values ...any) error {
	return &guard.Refusal{Check: check, Problem: p, Reason: fmt.Sprintf(reason, values...)}
}
