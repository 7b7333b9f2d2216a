package oauth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Client finds out which client sends a request, as the server that offers this at the stage has it
// prove that. A public one proves nothing anywhere: one that could not keep a secret has none (RFC
// 6749, section 2.1).
//
//keyladder:code oauth-client
func Client(r *http.Request, form Form, stage catalog.Stage, offer catalog.Auth, at time.Time, book *clients.Book) (*clients.App, error) {
	id, secret, err := credentials(r, form, offer)
	if err != nil {
		return nil, err
	}
	client, key, err := find(book, offer, id)
	switch {
	case err != nil:
		return nil, RefuseClient(r, offer, "It is not registered.", "the client %.80q: %v", id, err)
	case !offer.ClientAuth.Proven() || client.Public && !key.Servers:
		if secret != "" { // nobody would look at it
			return nil, RefuseClient(r, offer, "It has no secret here. Send client_id alone, in the body.", "the client authenticates, and has nothing to do that with")
		}
		return client, nil
	}
	overlap, _ := stage.API.SecretOverlap.Value()
	for _, good := range key.Secrets(at, overlap) {
		if good.Text() != "" && subtle.ConstantTimeCompare([]byte(good.Text()), []byte(secret)) == 1 {
			return client, nil
		}
	}
	how := "in the field of Basic authentication or in the body"
	if offer.ClientAuth == catalog.SecretInBody {
		how = "in the body"
	}
	return nil, RefuseClient(r, offer, "Authenticate with the client secret, "+how+".", "the secret of %s is not right", client.ID)
}

var errServersOnly = errors.New("servers alone authenticate for it here, with the key that they share")

// find finds the client that an ID stands for, and the key that has its secret. Where the secrets
// are those of servers, a client that has such a key is known by the key's ID and in no other way,
// not even when the key is revoked: what is in its app is worth nothing.
//
//keyladder:code oauth-servers-secret
func find(book *clients.Book, offer catalog.Auth, id string) (*clients.App, *clients.Key, error) {
	servers := offer.ClientAuth == catalog.ServersSecret
	if servers {
		if client, key, err := book.LookupServers(id); !errors.Is(err, clients.ErrUnknown) {
			return client, key, err
		}
	}
	client, key, err := book.Lookup(id)
	if servers && err == nil && book.HasServersKey(client.ID) {
		return nil, nil, errServersOnly
	}
	return client, key, err
}

// credentials are the client's ID and secret, from the field of Basic authentication or the
// body, but not from both (RFC 6749, section 2.3). The URL is no place for them. Where a server has
// never learned Basic authentication, which each has to know (section 2.3.1), the field is refused.
//
//keyladder:code oauth-client-credentials
func credentials(r *http.Request, form Form, offer catalog.Auth) (id, secret string, err error) {
	fields := r.Header.Values("Authorization")
	if len(fields) == 0 {
		id, err = form.Required("client_id")
		return id, form["client_secret"], err
	}
	id, secret, ok := basic(fields)
	switch {
	case offer.ClientAuth == catalog.SecretInBody:
		return "", "", RefuseClient(r, offer, "Authenticate in the body, with client_id and client_secret.", "the client authenticates in the field, and here that is done in the body alone")
	case !ok:
		return "", "", RefuseClient(r, offer, "Use Basic authentication, with client ID and secret form-encoded.", "the Authorization field can't be read")
	case form["client_secret"] != "":
		return "", "", Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "The client authenticates twice",
			"Use the field or the body, not both."), "the client authenticates in the field and in the body")
	case form["client_id"] != "" && form["client_id"] != id:
		return "", "", Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "There are two clients",
			"The field and the body name different ones."), "the field and the body name different clients")
	}
	return id, secret, nil
}

// basic reads Basic authentication as clients of OAuth write it: ID and secret are form-encoded
// before they are joined (RFC 6749, section 2.3.1, RFC 7617).
func basic(fields []string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(fields[0], " ")
	if len(fields) > 1 || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	joined, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	before, after, ok := strings.Cut(string(joined), ":")
	if !ok {
		return "", "", false
	}
	if id, err = url.QueryUnescape(before); err != nil || id == "" {
		return "", "", false
	}
	secret, err = url.QueryUnescape(after)
	return id, secret, err == nil
}

// RefuseClient refuses a client that does not prove who it is. Where clients authenticate
// in the field, or this one tried, it is told how (RFC 6749, section 5.2).
func RefuseClient(r *http.Request, offer catalog.Auth, detail, reason string, values ...any) error {
	p := problem.New(http.StatusUnauthorized, "client-not-accepted", "The client is not accepted", detail)
	if offer.ClientAuth.Proven() && offer.ClientAuth != catalog.SecretInBody || len(r.Header.Values("Authorization")) > 0 {
		p.With("WWW-Authenticate", `Basic realm="`+offer.Issuer.Company()+`"`)
	}
	return Refuse(catalog.CheckClient, p, reason, values...)
}
