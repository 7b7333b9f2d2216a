package serve

import (
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
)

// IsLocal is whether a Host field can only mean a machine nearby: it is an address,
// localhost, or a name without a dot. A web site can make any other name point to this
// machine (DNS rebinding), and its pages could then use what answers under that name.
func IsLocal(host string) bool {
	u := url.URL{Host: host}
	name := u.Hostname()
	if net.ParseIP(name) != nil {
		return true
	}
	label := strings.TrimSuffix(name, ".localhost")
	return isName(label) && (label != name || !strings.Contains(name, "."))
}

// isName is whether a text has the characters of host names only: others, such as % in
// "evil%2ecom", are read in different ways by different programs.
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// HostsVariable is the variable in the environment that allows further names, with commas in
// between, for what people use with a browser: those of a development container, or of this
// machine in its network.
const HostsVariable = "KEYLADDER_HOSTS"

// MayAsk is whether a browser may ask under a Host field: it [IsLocal], or it was allowed.
func MayAsk(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return IsLocal(host) || isName(name) && slices.ContainsFunc(strings.Split(os.Getenv(HostsVariable), ","), func(allowed string) bool {
		return strings.EqualFold(strings.TrimSpace(allowed), name)
	})
}

// Misdirected tells people why they get 421, and what to do.
func Misdirected(what string) string {
	return what + " answers as localhost, under its address, or under a name without a dot. A web site could make any other name point to this machine. " +
		"To allow one that you use, such as laptop.local, start Keyladder with " + HostsVariable + "=laptop.local in the environment."
}
