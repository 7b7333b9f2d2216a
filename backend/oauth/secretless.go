package oauth

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// WithoutSecret refuses a request that shows a client secret, or anything that takes its place, where
// the client integrity token says which client it is. A client with a secret to show has come to the
// wrong server, or should not have it.
func WithoutSecret(r *http.Request, form Form) error {
	shown := ""
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		if form[name] != "" {
			shown = name
		}
	}
	if _, ok := r.Header["Authorization"]; ok {
		shown = "the Authorization field"
	}
	if shown == "" {
		return nil
	}
	return Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "A client secret does not belong here",
		"The client integrity token says which client it is. Replace the credentials that were sent."), "the app shows %s", shown)
}
