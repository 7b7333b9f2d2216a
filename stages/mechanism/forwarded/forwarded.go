package forwarded

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"keyladder/stages/mechanism/token"
)

const (
	// Field is the header field in which the gateway says who calls.
	Field = "Forwarded-Caller"
	// Type is the typ of its tokens.
	Type = "caller+jwt"
	// Lifetime is how long one is good. A call that takes longer to arrive does not arrive.
	Lifetime = 10 * time.Second
)

// Claims are what the gateway says.
type Claims struct {
	Issuer   string    // iss: the URL of the gateway
	Audience string    // aud: the API behind it
	ClientID string    // client_id: the app that has proven itself
	Subject  string    // sub: the user; empty: none was asked for
	Scope    string    // scope: what the user's access token is good for, with spaces between
	Device   string    // device: the installation of the app; empty: not known
	UsersOn  string    // token_device: the installation that the user's access token was issued to; empty: none was
	Method   string    // htm
	Path     string    // htu: as it is written, without the query
	Issued   time.Time // iat, in whole seconds
	Expires  time.Time // exp, in whole seconds: from then on it is worth nothing
	ID       string    // jti: no other token has it
}

// Sign makes a token. It refuses a secret of less than 32 bytes.
//
//keyladder:code forwarded-sign
func Sign(key token.Key, c Claims) (string, error) {
	claims := map[string]any{
		"iss": c.Issuer, "aud": c.Audience, "client_id": c.ClientID, "htm": c.Method, "htu": c.Path,
		"iat": c.Issued.Unix(), "exp": c.Expires.Unix(), "jti": c.ID,
	}
	for name, value := range map[string]string{"sub": c.Subject, "scope": c.Scope, "device": c.Device, "token_device": c.UsersOn} {
		if value != "" {
			claims[name] = value
		}
	}
	return key.SignAs(Type, claims)
}

// Set puts a token into its field, in place of what is there.
func Set(header http.Header, text string) { header.Set(Field, text) }

// Strip removes the field from what somebody sends who is no gateway.
func Strip(header http.Header) { delete(header, Field) }

// Errors of [From] and [Verifier.Verify], beside those of package token.
var (
	ErrMissing = errors.New("nothing says who calls")
	ErrTwice   = errors.New("there is more than one " + Field + " field")
	ErrCall    = errors.New("it is for another call")
	ErrLife    = fmt.Errorf("it is good for longer than %s", Lifetime)
)

// From reads the token out of its field.
func From(header http.Header) (string, error) {
	switch fields := header[Field]; {
	case len(fields) == 0, len(fields) == 1 && fields[0] == "":
		return "", ErrMissing
	case len(fields) > 1:
		return "", ErrTwice
	default:
		return fields[0], nil
	}
}

// Verifier decides which tokens are good. Its zero value refuses all.
type Verifier struct {
	Issuer   string        // what iss has to be, byte for byte
	Audience string        // what aud has to be, byte for byte
	Key      token.Key     // which gateway and API share
	Leeway   time.Duration // how far the gateway's clock may be ahead; exp gets none
}

// Verify tells what a token says, if it is good for a call at a time. Path is as it is written, without
// the query. Errors are for records, and not for whoever sent the token. Whether its ID was there
// before is not looked at here.
//
//keyladder:code forwarded-verify
func (v Verifier) Verify(text, method, path string, now time.Time) (Claims, error) {
	said, _, err := token.Open(text, Type, func(id string) (token.Secret, bool) { return v.Key.Secret, id != "" && id == v.Key.ID })
	if err != nil {
		return Claims{}, err
	}
	c, err := read(said)
	latest := now.Add(v.Leeway)
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", token.ErrClaims, err)
	case v.Issuer == "" || c.Issuer != v.Issuer:
		err = fmt.Errorf("%w: iss is %q", token.ErrIssuer, c.Issuer)
	case v.Audience == "" || c.Audience != v.Audience:
		err = fmt.Errorf("%w: aud is %q", token.ErrAudience, c.Audience)
	case c.Method != method || c.Path != path:
		err = fmt.Errorf("%w: %.80q %.80q", ErrCall, c.Method, c.Path)
	case c.Issued.After(latest):
		err = fmt.Errorf("%w: issued %s from now", token.ErrNotYet, c.Issued.Sub(now).Round(time.Second))
	case !now.Before(c.Expires): // RFC 7519, section 4.1.4: "on or after which"
		err = fmt.Errorf("%w, %s ago", token.ErrExpired, now.Sub(c.Expires).Round(time.Second))
	case c.Expires.Sub(c.Issued) > Lifetime:
		err = ErrLife
	}
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

// read reads the claims, each once and with its type.
func read(said token.Object) (c Claims, err error) {
	var faults []error
	text := func(name string) string {
		value, err := said.Text(name)
		faults = append(faults, err)
		return value
	}
	optional := func(name string) string {
		if _, there := said[name]; !there {
			return ""
		}
		return text(name)
	}
	c = Claims{
		Issuer: text("iss"), Audience: text("aud"), ClientID: text("client_id"), Method: text("htm"), Path: text("htu"), ID: text("jti"),
		Subject: optional("sub"), Scope: optional("scope"), Device: optional("device"), UsersOn: optional("token_device"),
	}
	var late error
	c.Issued, err = said.Instant("iat")
	c.Expires, late = said.Instant("exp")
	return c, errors.Join(append(faults, err, late)...)
}

// Path is the path of a request as Sign and Verify have it.
func Path(r *http.Request) string {
	path, _, _ := strings.Cut(r.URL.EscapedPath(), "?")
	return path
}
