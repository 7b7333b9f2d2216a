package oauth

import "net/netip"

// Forwarded is the field in which a server that passes a request on says where it came from (RFC
// 7239). A caller that is not known to be such a server is not believed.
const Forwarded = "Forwarded"

// ForwardedFor is its value for an address (RFC 7239, section 6).
func ForwardedFor(address netip.Addr) string {
	if address = address.Unmap(); address.Is6() {
		return `for="[` + address.String() + `]"`
	}
	return "for=" + address.String()
}
