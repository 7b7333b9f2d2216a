package pages

import (
	"net"
	"net/url"
	"time"
)

// scope is what a scope lets a client do, in words.
type scope struct {
	Scope string
	Words string // empty: this package has none
	Tag   string // what makes it a serious one; empty: it only reads
}

var scopes = []scope{
	{Scope: "rates:read", Words: "See exchange rates"},
	{Scope: "accounts:read", Words: "See the accounts that you may see, with their balances and transfers"},
	{Scope: "transfers:write", Words: "Make transfers from your accounts", Tag: "moves money"},
	{Scope: "accounts:freeze", Words: "Freeze customers' accounts, and unfreeze them", Tag: "stops payments"},
}

// scopesOf are scopes in words, in the order of the table. Those that it does not have come last.
func scopesOf(names []string) []scope {
	asked := map[string]bool{}
	for _, name := range names {
		asked[name] = true
	}
	var found []scope
	for _, known := range scopes {
		if asked[known.Scope] {
			found = append(found, known)
			delete(asked, known.Scope)
		}
	}
	for _, name := range names {
		if asked[name] {
			found = append(found, scope{Scope: name})
			delete(asked, name)
		}
	}
	return found
}

// destination says where a redirect URI leads.
func destination(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || u.Scheme == "":
		return "an address that nobody can read"
	case u.Scheme != "http" && u.Scheme != "https":
		return "the app on this device that opens " + u.Scheme + " links"
	case loopback(u.Hostname()):
		return "a program on this device, at " + u.Host
	}
	return "the website " + u.Host
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// moment is a time in words, UTC.
func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
