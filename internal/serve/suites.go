package serve

import (
	"crypto/tls"
	"strings"
)

// Suites are the cipher suites for TLS 1.2: with ephemeral keys and authenticated encryption,
// as RFC 9325, section 4.2, recommends. Those with CBC are left out. TLS 1.3 has no others.
func Suites() []uint16 {
	var suites []uint16
	for _, suite := range tls.CipherSuites() {
		if strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_CHACHA20_")) {
			suites = append(suites, suite.ID)
		}
	}
	return suites
}
