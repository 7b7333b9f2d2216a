package pages

import (
	"cmp"
	"net/url"
	"regexp"
)

// Names of the fields that the forms send, and the values of [FieldDecision].
const (
	FieldName     = "username"
	FieldPassword = "password"
	FieldDecision = "decision" // of the consent, and Deny where signing in is cancelled
	FieldConsent  = "consent"  // ID of the one to withdraw

	Allow = "allow"
	Deny  = "deny"
)

// Site is what all pages need to know of the server that shows them.
type Site struct {
	Company string // whose pages they are; empty: Harbour Bank
	Assets  string // path under which [Assets] answers, with a slash at its end
	Stage   string // title of the stage; empty: none is named
	Origin  string // of the server, as browsers show it: https://localhost:8444; empty: it is not named
}

// company is whose pages they are.
func (s Site) company() string { return cmp.Or(s.Company, bank) }

// bank is whose API the rights are about.
const bank = "Harbour Bank"

// Client is a client that asks for access.
type Client struct {
	Name        string
	ID          string
	RedirectURI string // where the answer goes; empty: it is not named
}

// Form is where a form goes, and what it takes along.
type Form struct {
	Action string // a path of this server
	Hidden []Hidden
}

// Hidden is a field that nobody fills in.
type Hidden struct{ Name, Value string }

// Parts of redirect URIs that go into a policy as they are. The names of schemes and hosts
// hold no character that ends a source or a directive.
var (
	// Chromium takes no address of IPv6 as a source.
	policyHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)
	// RFC 8252, section 7.1: a private-use scheme is a domain name in reverse order.
	privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)
)

// ContentSecurityPolicy is the Content-Security-Policy of a page. Chromium applies form-action to
// the redirects that follow a form, too. So a page whose form can end in a redirect, such as to a
// client, has to name where that leads; other pages give nothing. A URI that is neither http or
// https nor of a private-use scheme (RFC 8252, section 7.1) is not allowed.
func ContentSecurityPolicy(leadsTo ...string) string {
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'"
	for _, uri := range leadsTo {
		if source := formTarget(uri); source != "" {
			policy += " " + source
		}
	}
	return policy + "; frame-ancestors 'none'; base-uri 'none'"
}

// formTarget is the source that allows a redirect URI; empty: it is not allowed.
func formTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return ""
	case u.Scheme != "http" && u.Scheme != "https":
		if privateScheme.MatchString(u.Scheme) {
			return u.Scheme + ":"
		}
		return ""
	case policyHost.MatchString(u.Host):
		return u.Scheme + "://" + u.Host
	case u.Hostname() == "::1":
		return u.Scheme + ":" // no source says it more closely
	}
	return ""
}
