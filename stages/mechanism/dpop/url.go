package dpop

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
)

var errURL = errors.New("it is no absolute http or https URL without user information")

// sameURL compares two URLs without query and fragment, after normalisation (RFC 3986, section 6):
// scheme and host in lower case, no default port, and an empty path as "/". Paths have to be spelled
// alike.
func sameURL(a, b string) bool {
	if a == b && !strings.ContainsAny(a, "?#@") {
		return a != ""
	}
	one, err := normal(a)
	if err != nil {
		return false
	}
	other, err := normal(b)
	return err == nil && one == other
}

// normal is a URL for htu.
func normal(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.User != nil {
		return "", errURL
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") { // IPv6
		host = "[" + host + "]"
	}
	switch { // Parse has made the scheme lower case
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errURL
	case port == "", u.Scheme == "https" && port == "443", u.Scheme == "http" && port == "80":
	default:
		host += ":" + port
	}
	return u.Scheme + "://" + host + cmp.Or(u.EscapedPath(), "/"), nil
}
