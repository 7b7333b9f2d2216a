package providers

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// ErrInvalid means that a provider can't be as it is described: see [InvalidError].
var ErrInvalid = errors.New("the provider can't be like that")

// InvalidError is an [ErrInvalid] that says what is wrong.
type InvalidError struct {
	Field string // of [manage.Provider], as JSON has it; empty: it is no single one
	Why   string
}

func (e *InvalidError) Error() string { return ErrInvalid.Error() + ": " + e.Why }
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func invalid(field, format string, values ...any) error {
	return &InvalidError{Field: field, Why: fmt.Sprintf(format, values...)}
}

var (
	name   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	member = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)
	scope  = regexp.MustCompile(`^[!#-\[\]-~]+$`) // scope-token of RFC 6749, section 3.3
)

// How long a description may be at most.
const (
	maxText    = 256  // bytes
	maxURL     = 1024 // bytes
	maxEntries = 500
)

// check refuses what would not work, or not safely.
func check(p manage.Provider) error {
	switch {
	case !name.MatchString(p.Name):
		return invalid("name", "its name is one of small letters, digits and hyphens, at most 32")
	case strings.TrimSpace(p.Title) == "" || len(p.Title) > maxText:
		return invalid("title", "users have to know it by a title of at most %d bytes", maxText)
	case p.ClientID == "" || len(p.ClientID) > maxText:
		return invalid("client_id", "the mediator needs a client ID there")
	case p.Secret == "" || len(p.Secret) > maxText:
		return invalid("secret", "the mediator needs a secret there")
	case p.ClientAuth != manage.SecretBasic && p.ClientAuth != manage.SecretPost:
		return invalid("client_auth", "the mediator authenticates with %s or %s", manage.SecretBasic, manage.SecretPost)
	case !slices.Contains([]catalog.PKCE{catalog.NoPKCE, catalog.PlainPKCE, catalog.S256PKCE}, p.PKCE):
		return invalid("pkce", "PKCE is %s, %s or %s", catalog.NoPKCE, catalog.PlainPKCE, catalog.S256PKCE)
	case p.Tokens != catalog.JWTs && p.Tokens != catalog.OpaqueTokens:
		return invalid("tokens", "access tokens are %s or %s", catalog.JWTs, catalog.OpaqueTokens)
	case !slices.Contains(manage.UserSources(), p.User):
		return invalid("user", "who the user is says one of %v", manage.UserSources())
	case !member.MatchString(p.UserClaim):
		return invalid("user_claim", "who the user is has to be in a claim or member with a name")
	case p.User == manage.UserInToken && p.Tokens != catalog.JWTs:
		return invalid("user", "an opaque access token does not say who the user is")
	case p.User == manage.UserInUserinfo && p.UserinfoURL == "":
		return invalid("userinfo_url", "it has no userinfo endpoint that could say who the user is")
	case p.User == manage.UserInIntrospection && p.IntrospectionURL == "":
		return invalid("introspection_url", "it has no introspection endpoint that could say who the user is")
	case len(p.Scopes)+len(p.Fields)+len(p.Links)+len(p.Apps) > maxEntries:
		return invalid("", "its tables have more than %d entries", maxEntries)
	}
	for _, u := range []struct {
		what, url string
		optional  bool
	}{
		{"issuer", p.Issuer, false},
		{"authorization_url", p.AuthorizationURL, false},
		{"token_url", p.TokenURL, false},
		{"revocation_url", p.RevocationURL, true},
		{"userinfo_url", p.UserinfoURL, true},
		{"introspection_url", p.IntrospectionURL, true},
	} {
		if err := checkURL(u.url); err != nil && !(u.optional && u.url == "") {
			return invalid(u.what, "%v", err)
		}
	}
	return checkTables(p)
}

func checkTables(p manage.Provider) error {
	for ours, theirs := range p.Scopes {
		words := strings.Fields(theirs)
		if !scope.MatchString(ours) || len(words) == 0 || slices.ContainsFunc(words, func(word string) bool { return !scope.MatchString(word) }) {
			return invalid("scopes", "its words for the scope %.80q are no scopes", ours)
		}
	}
	for ours, theirs := range p.Fields {
		if !slices.Contains([]string{"access_token", "token_type", "expires_in", "refresh_token", "scope"}, ours) || !member.MatchString(theirs) {
			return invalid("fields", "token answers have no member %.80q that could be called %.80q", ours, theirs)
		}
	}
	for user, customer := range p.Links {
		if user == "" || customer == "" || len(user) > maxText || len(customer) > maxText {
			return invalid("links", "a link is from a user of the provider to a customer of the bank")
		}
	}
	for client, secret := range p.Apps {
		if client == "" || secret == "" || len(secret) > maxText {
			return invalid("apps", "the app %.80q needs a secret there", client)
		}
	}
	return nil
}

// checkURL refuses a URL to which no secret should be sent.
func checkURL(text string) error {
	if len(text) > maxURL {
		return fmt.Errorf("it is longer than %d bytes", maxURL)
	}
	if service, path, ok := cutService(text); ok {
		if _, err := deployment.ServiceNamed(service); err != nil {
			return err
		}
		if !strings.HasPrefix(path, "/") {
			return errors.New("what follows the name of a service is a path")
		}
		text = "https://localhost" + path
	}
	text = strings.ReplaceAll(text, stagePlace, "stage")
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || strings.ContainsAny(text, "{}\\ "):
		return errors.New("that is no URL")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("it is not one of https, or of http on a loopback address")
}

func isLoopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || address != nil && address.IsLoopback()
}

// stagePlace is where a URL has the slug of the stage.
const stagePlace = "{stage}"

// cutService cuts the name of a service of the deployment off a URL, where it begins with one.
func cutService(text string) (service deployment.ServiceName, rest string, ok bool) {
	inside, ok := strings.CutPrefix(text, "{")
	if !ok || strings.HasPrefix(text, stagePlace) {
		return "", text, false
	}
	before, after, ok := strings.Cut(inside, "}")
	return deployment.ServiceName(before), after, ok
}
