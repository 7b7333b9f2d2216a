package clients

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// RedirectsTo says whether the authorization server may send a user back to a URI: it has to be
// one of the registered ones, byte for byte (RFC 9700, section 2.1). Of a loopback address the
// port may be any, because a program on a desktop gets one from its system each time (RFC 8252,
// section 7.3).
//
//keyladder:code redirect-uri
func (a *App) RedirectsTo(uri string) bool {
	for _, registered := range a.RedirectURIs {
		if uri == registered || isLoopback(registered) && withoutPort(uri) == withoutPort(registered) {
			return true
		}
	}
	return false
}

// RedirectsBelow says the same as servers did that compare no more than the beginning of the URI:
// whoever can be reached below a registered one can have answers sent there (RFC 9700, section
// 4.1).
//
//keyladder:code redirect-uri-prefix
func (a *App) RedirectsBelow(uri string) bool {
	for _, registered := range a.RedirectURIs {
		if strings.HasPrefix(uri, registered) && checkRedirectURI(uri) == nil {
			return true
		}
	}
	return false
}

// place is what stands for a server of this deployment, at the beginning of a redirect URI.
var place = regexp.MustCompile(`^\{([a-z-]+)\}/`)

// placed are redirect URIs with addresses in the place of names. One whose server is nowhere leads
// nowhere.
func placed(uris []string, places map[string]string) []string {
	all := make([]string, 0, len(uris))
	for _, uri := range uris {
		if found := place.FindStringSubmatch(uri); found != nil {
			base := places[found[1]]
			if base == "" {
				continue
			}
			uri = base + strings.TrimPrefix(uri, "{"+found[1]+"}")
		}
		all = append(all, uri)
	}
	return all
}

// withoutPort is a URI without its port, where it has one; nothing else about it is changed.
// A URI that can't be read is returned as it was.
func withoutPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil {
		return uri
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return uri
	}
	before, after, _ := strings.Cut(uri, u.Host)
	return before + strings.TrimSuffix(u.Host, ":"+u.Port()) + after
}

func isLoopback(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.IsLoopback()
}

// checkRedirectURI refuses what a user should not be sent to.
func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return errors.New("that is no URI")
	case strings.Contains(uri, "#"):
		return errors.New("a redirect URI has no fragment (RFC 6749, section 3.1.2)")
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("*\"<>\\^`{|}", r) }):
		return errors.New("a redirect URI has no spaces, no wildcards, and only the characters of RFC 3986")
	case u.User != nil:
		return errors.New("a redirect URI has no user name, which could be taken for the host")
	case strings.HasSuffix(u.Host, ":"), u.Port() != "" && withoutPort(uri) == uri:
		return errors.New("there is no such port")
	case u.Scheme == "https" && u.Hostname() != "", isLoopback(uri):
		return nil
	case u.Scheme == "http":
		return errors.New("http is for loopback addresses alone, such as http://127.0.0.1/callback")
	case strings.Contains(u.Scheme, ".") && u.Host == "" && u.Path+u.Opaque != "":
		return nil // private-use, RFC 8252, section 7.1
	}
	return errors.New("give one with https, with http and a loopback address, or with a scheme of the app's own, such as com.example.app:/callback")
}
