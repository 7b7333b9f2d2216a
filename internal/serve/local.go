package serve

import (
	"net"
	"net/url"
	"strings"
)

// IsLocal is whether a Host field can only mean a machine nearby: it is an address,
// localhost, or a name without a dot. A web site can make any other name point to this
// machine (DNS rebinding), and its pages could then use what answers under that name.
func IsLocal(host string) bool {
	u := url.URL{Host: host}
	name := u.Hostname()
	return net.ParseIP(name) != nil || name != "" && !strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost")
}
