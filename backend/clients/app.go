package clients

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"keyladder/internal/manage"
	"keyladder/stages/mechanism/pin"
)

// Scopes are what an app can be allowed to do.
func Scopes() []string {
	return []string{"rates:read", "accounts:read", "transfers:write", "accounts:freeze", partnerScope}
}

// partnerScope is for partners, and partners have no other.
const partnerScope = "settlements:read"

// ErrInvalid means that an app can't be registered like that; the text says why.
var ErrInvalid = errors.New("that is not a good registration")

// App is a registered app. It is never changed; a changed app is another value.
type App struct {
	ID           string
	Kind         manage.Kind
	Scopes       []string
	Certificates []string // pins
	RedirectURIs []string // to which the authorization server may send users back
	Public       bool     // it could keep no secret, and has none (RFC 6749, section 2.1)
	Tier         string   // of service, which has its limits; empty: it has limits of its own
	PerSecond    float64  // rate limit: calls a second over time
	Burst        int      // and at once
	Limiter      *rate.Limiter

	name, userAgent string
	createdAt       time.Time
}

// May says whether the app has a scope. No app has the empty one.
func (a *App) May(scope string) bool { return scope != "" && slices.Contains(a.Scopes, scope) }

// Key is a key of an app.
type Key struct {
	ID, App   string
	Servers   bool     // its secret is shared by servers alone, so that it proves that one of them calls
	secrets   []Secret // the current one, and after it those that it replaced, newest first
	createdAt time.Time
	revokedAt *time.Time
	use       *use // shared by all values for this key
}

// Secret is what an app knows beside its key.
func (k *Key) Secret() Secret { return k.secrets[0] }

// Secrets are those that are accepted at a time: the current one, and those that were replaced
// no longer ago than overlap, newest first. With an overlap of 0 apps that carry an old secret
// are shut out at once; with a longer one they have time to learn the new. See also
// [Config].Overlap.
func (k *Key) Secrets(at time.Time, overlap time.Duration) []Secret {
	n := 1
	for overlap > 0 && n < len(k.secrets) && at.Before(k.secrets[n].replacedAt.Add(overlap)) && at.Before(k.secrets[n].keptUntil) {
		n++
	}
	return k.secrets[:n:n]
}

// spread is how long a new secret is not signed with, so that all who verify know it when one does.
// They learn of it within a second.
const spread = 2 * time.Second

// Signing is the secret to sign with at a time: the newest that all servers know by then.
func (k *Key) Signing(at time.Time) Secret {
	i := 0
	for i+1 < len(k.secrets) && at.Before(k.secrets[i+1].replacedAt.Add(spread)) {
		i++
	}
	return k.secrets[i]
}

// use is how a key fares.
type use struct {
	accepted atomic.Int64 // in nanoseconds since 1970; 0: never
	refused  atomic.Pointer[time.Time]
	refusal  atomic.Pointer[string]
}

// Accepted notes that a call with the key was served.
func (k *Key) Accepted(at time.Time) { k.use.accepted.Store(at.UnixNano()) }

// Refused notes that a call with the key was refused, and the private reason.
func (k *Key) Refused(at time.Time, reason string) {
	k.use.refusal.Store(&reason)
	k.use.refused.Store(&at)
}

func (k *Key) manage() manage.Key {
	key := manage.Key{
		ID: k.ID, App: k.App, Servers: k.Servers, CreatedAt: k.createdAt, RevokedAt: k.revokedAt,
		LastRefused: k.use.refused.Load(),
	}
	if accepted := k.use.accepted.Load(); accepted != 0 {
		at := time.Unix(0, accepted)
		key.LastAccepted = &at
	}
	if refusal := k.use.refusal.Load(); refusal != nil {
		key.LastRefusal = *refusal
	}
	return key
}

var (
	idPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// A product token with or without the slash (RFC 9110, section 10.1.5).
	agentPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}/?$")
)

const (
	maxRate  = 1e6
	maxBurst = 1_000_000
)

// check refuses what would open or close the API by mistake: an empty user agent would
// be a prefix of everybody's, a limit of nothing would shut the app out.
func check(a manage.App) error {
	invalid := func(format string, values ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, values...))
	}
	switch {
	case a.Kind != "" && a.Kind != manage.MobileApp && a.Kind != manage.Partner && a.Kind != manage.ResourceServer:
		return invalid("there is no kind %q: there are %s, %s and %s", a.Kind, manage.MobileApp, manage.Partner, manage.ResourceServer)
	case a.Kind == manage.ResourceServer && (a.Public || len(a.Scopes) > 0):
		return invalid("a resource server has a secret, and no scopes")
	case !idPattern.MatchString(a.ID):
		return invalid("the ID may have 63 characters out of a-z, 0-9 and -, and neither begins nor ends with -")
	case strings.TrimSpace(a.Name) == "" || len(a.Name) > 100 || strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' }):
		return invalid("the name must have 1 to 100 bytes, without control characters")
	case !agentPattern.MatchString(a.UserAgent):
		return invalid("the user agent must be a product name, like HarbourBank/")
	}
	if err := checkLimits(a.PerSecond, a.Burst); err != nil {
		return err
	}
	for i, scope := range a.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return invalid("there is no scope %q: there are %s", scope, strings.Join(Scopes(), ", "))
		}
		if (scope == partnerScope) != (a.Kind == manage.Partner) {
			return invalid("the scope %s is for partners, who have no other", partnerScope)
		}
		if slices.Contains(a.Scopes[:i], scope) {
			return invalid("the scope %s is there twice", scope)
		}
	}
	for i, uri := range a.RedirectURIs {
		if err := checkRedirectURI(place.ReplaceAllString(uri, "https://localhost/")); err != nil {
			return invalid("the redirect URI %.200q: %v", uri, err)
		}
		if slices.Contains(a.RedirectURIs[:i], uri) {
			return invalid("the redirect URI %s is there twice", uri)
		}
	}
	for _, certificate := range a.Certificates {
		if _, err := pin.Parse(certificate); err != nil {
			return invalid("certificates: %v", err)
		}
	}
	return nil
}

// product is the user agent's product with its slash, so that `Harbour` is no prefix
// of `HarbourBank/1.0`.
func product(userAgent string) string { return strings.TrimSuffix(userAgent, "/") + "/" }

// Name is how people know the app.
func (a *App) Name() string { return a.name }
