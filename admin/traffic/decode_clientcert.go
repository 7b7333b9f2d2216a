package traffic

import (
	"regexp"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
)

// clientCertificates are those that a TLS terminator hands on (RFC 9440). Where TLS ends at
// the server itself, they are in the handshake and in no field.
var clientCertificates = decoder{
	Checks: []catalog.Check{catalog.CheckClientCert, catalog.CheckCertOfApp, catalog.CheckPartner},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range clientCertField.FindAllStringSubmatch(seen.Head, maxSections) {
			certificate, err := clientcert.Decode(f[1])
			if err != nil { // the record may have been cut off in it
				continue
			}
			found = append(found, credential(clientcert.Field, "X.509", []attribute{
				{"subject", certificate.Subject.String(), "whom it is about"},
				{"issuer", certificate.Issuer.String(), "who says so"},
				{"good until", ui.Stamp(certificate.NotAfter) + " UTC", ""},
				{"key", certificate.PublicKeyAlgorithm.String(), "its private half was proven in the handshake with the terminator"},
			}))
		}
		return found
	},
}

var clientCertField = regexp.MustCompile(`(?m)^` + clientcert.Field + `:[ \t]*(:[^\r\n]*:)[ \t]*\r?$`)
