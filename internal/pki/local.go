package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
)

// LocalHosts are the names and addresses of a server on this machine: the names that
// certificates of a local authority can have.
var LocalHosts = []string{"localhost", "127.0.0.1", "::1"}

var (
	loopback4 = &net.IPNet{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}
	loopback6 = &net.IPNet{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}
)

// NewLocalCA makes a self-signed authority for servers on this machine: whoever trusts it
// accepts its certificates for localhost, 127.0.0.0/8 and ::1, and for nothing else, even when
// somebody gets its key (name constraints, RFC 5280, section 4.2.1.10, marked critical).
func NewLocalCA(name string) (*CA, error) {
	template := template(name)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} // and for no mail and no program
	template.PermittedDNSDomainsCritical = true
	template.PermittedDNSDomains = []string{"localhost"}
	template.PermittedIPRanges = []*net.IPNet{loopback4, loopback6}
	return newCA(template)
}

// ErrNotLocal means that an authority can make certificates for more than this machine.
var ErrNotLocal = errors.New("it can make certificates for other machines than this one")

// CheckLocal is nil where an authority is constrained as one of [NewLocalCA] is, and an
// [ErrNotLocal] that says what it lacks otherwise.
func CheckLocal(ca *x509.Certificate) error {
	outside := func(permitted *net.IPNet) bool {
		return !slices.ContainsFunc([]*net.IPNet{loopback4, loopback6}, func(loopback *net.IPNet) bool {
			wide, bits := loopback.Mask.Size()
			ones, length := permitted.Mask.Size()
			return length == bits && ones >= wide && loopback.Contains(permitted.IP)
		})
	}
	switch {
	case !ca.IsCA:
		return errors.New("it is the certificate of no authority")
	case !ca.PermittedDNSDomainsCritical:
		return fmt.Errorf("%w: it has no name constraints that are critical", ErrNotLocal)
	case len(ca.PermittedDNSDomains) == 0, slices.ContainsFunc(ca.PermittedDNSDomains, func(name string) bool { return name != "localhost" }):
		return fmt.Errorf("%w: names other than localhost are permitted", ErrNotLocal)
	case len(ca.PermittedIPRanges) == 0, slices.ContainsFunc(ca.PermittedIPRanges, outside):
		return fmt.Errorf("%w: addresses outside 127.0.0.0/8 and ::1 are permitted", ErrNotLocal)
	case !slices.Equal(ca.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}):
		return fmt.Errorf("%w: they can be for other things than servers", ErrNotLocal)
	}
	return nil
}
