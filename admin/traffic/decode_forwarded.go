package traffic

import (
	"regexp"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/forwarded"
)

// forwardedCallers are what a gateway says about who makes a call.
var forwardedCallers = decoder{
	Checks: []catalog.Check{catalog.CheckGateway},
	Decode: func(seen text) []section {
		var found []section
		for _, f := range forwardedField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, section{
				Kind: "credential", Scheme: "forwarded-caller", Title: f[1] + ": who makes the call, as the gateway says",
				Parts: []part{{Attributes: claimsOf(f[2], forwardedWords)}},
			})
		}
		return found
	},
}

var forwardedField = regexp.MustCompile(`(?im)^(` + forwarded.Field + `):[ \t]*(\S[^\r\n]*?)[ \t]*\r?$`)

// forwardedWords say what the claims are, in the order in which they are shown.
var forwardedWords = []claimWord{
	{"client_id", "the app, which has proven itself to the gateway"},
	{"sub", "the user, whose access token the gateway has looked at"},
	{"scope", "what that token is good for"},
	{"device", "the installation, as its device names it"},
	{"htm", "the method that this is good for"},
	{"htu", "the path that this is good for"},
	{"iss", "the gateway, which has signed it, with a secret that it shares with the API"},
	{"aud", "the API behind the gateway"},
	{"iat", "when it was issued"},
	{"exp", "from then on it is worth nothing"},
	{"jti", "its own ID: it is good once"},
}

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
