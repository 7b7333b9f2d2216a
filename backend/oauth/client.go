package oauth

import (
	"net/http"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// PublicClient finds the client that says who it is and proves nothing: one that could not keep
// a secret has none (RFC 6749, section 2.1). A request that brings credentials nevertheless is
// refused, because nobody would look at them.
//
//keyladder:code oauth-public-client
func PublicClient(r *http.Request, form Form, find func(key string) (*clients.App, *clients.Key, error)) (*clients.App, error) {
	if r.Header.Get("Authorization") != "" {
		return nil, Refuse(catalog.CheckClient, notAccepted("Clients do not authenticate here. Send client_id in the body, and no Authorization field.").
			With("WWW-Authenticate", `Basic realm="Harbour Bank"`), "the client authenticates, and has nothing to do that with")
	}
	if form["client_secret"] != "" {
		return nil, Refuse(catalog.CheckClient, notAccepted("Clients have no secret here. Send client_id alone."), "the client sends a secret")
	}
	id, err := form.Required("client_id")
	if err != nil {
		return nil, err
	}
	client, _, err := find(id)
	if err != nil {
		return nil, Refuse(catalog.CheckClient, notAccepted("It is not registered."), "the client %.80q: %v", id, err)
	}
	return client, nil
}

func notAccepted(detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "client-not-accepted", "The client is not accepted", detail)
}
