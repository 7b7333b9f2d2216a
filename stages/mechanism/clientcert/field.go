package clientcert

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const (
	// Field carries the client's certificate from a TLS terminator to the server
	// (RFC 9440, section 2.2).
	Field = "Client-Cert"
	// ChainField carries the rest of its chain (section 2.3). Nothing here needs it,
	// so it is only ever removed.
	ChainField = "Client-Cert-Chain"
)

// maxField is how long the field may be, in bytes: several times what a certificate
// needs.
const maxField = 16 << 10

// ErrField means that the Client-Cert field is not what RFC 9440 says.
var ErrField = errors.New("the Client-Cert field is malformed")

// Encode is the field's value for a certificate in DER.
func Encode(der []byte) string {
	// A byte sequence (RFC 9651, section 3.3.5): standard base64 with padding.
	return ":" + base64.StdEncoding.EncodeToString(der) + ":"
}

// Decode reads the field's value. Parameters are not defined for it, so a value that
// has some is refused.
func Decode(value string) (*x509.Certificate, error) {
	value = strings.Trim(value, " ")
	if len(value) < 2 || len(value) > maxField || value[0] != ':' || value[len(value)-1] != ':' {
		return nil, fmt.Errorf("%w: not one byte sequence", ErrField)
	}
	encoded := value[1 : len(value)-1]
	if strings.ContainsAny(encoded, "\r\n") { // which encoding/base64 skips
		return nil, fmt.Errorf("%w: line break in it", ErrField)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrField, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrField, err)
	}
	return certificate, nil
}

// Forward sets the field to the certificate that the client proved to hold, or, where
// it showed none (nil), leaves it out. What the client itself wrote there is removed in
// either case.
//
//keyladder:code clientcert-field
func Forward(header http.Header, certificate *x509.Certificate) {
	Strip(header)
	if certificate != nil {
		header.Set(Field, Encode(certificate.Raw))
	}
}

// FromHeader reads what [Forward] wrote: nil without an error where there is no field.
// It says nothing about who wrote it.
func FromHeader(header http.Header) (*x509.Certificate, error) {
	switch values := header.Values(Field); len(values) {
	case 0:
		return nil, nil
	case 1:
		return Decode(values[0])
	default: // it must not occur multiple times in a request (section 2.2)
		return nil, fmt.Errorf("%w: more than one", ErrField)
	}
}

// Strip removes both fields, as everybody has to who does not get them from a trusted
// terminator.
func Strip(header http.Header) {
	delete(header, Field) // the names are as net/http keeps them
	delete(header, ChainField)
}
