package protect

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"

	"keyladder/stages/catalog"
)

// refusal says which errors are refusals by a check.
type refusal struct {
	check catalog.Check
	is    func(error) (reason string, ok bool)
}

// Refused tells which of the client's own checks, if any, made a call fail, and why. The
// error is that of the HTTP client, or of [Dressed.Check].
func Refused(err error) (check catalog.Check, reason string) {
	for _, m := range slices.Backward(mechanisms) {
		for _, r := range m.refusals {
			if reason, ok := r.is(err); ok {
				return r.check, reason
			}
		}
	}
	return "", ""
}

func oneOf(kinds ...error) func(error) (string, bool) {
	return func(err error) (string, bool) {
		if slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
			return err.Error(), true
		}
		return "", false
	}
}

// tlsRefusals are the ways in which a connection can fail because of what TLS found out.
var tlsRefusals = []refusal{{check: catalog.CheckTLS, is: func(err error) (string, bool) {
	_, reason := tlsFailure(err)
	return reason, reason != ""
}}}

// TLSFault is what TLS found fault with.
type TLSFault string

// The faults.
const (
	NotTrusted TLSFault = "the server's certificate"
	NotTLS     TLSFault = "the server does not speak TLS"
	Disturbed  TLSFault = "what arrived, such as a record that was changed"
)

// TLSFailure says why TLS made a call fail; empty: it did not.
func TLSFailure(err error) TLSFault {
	fault, _ := tlsFailure(err)
	return fault
}

func tlsFailure(err error) (fault TLSFault, reason string) {
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &certificate):
		return NotTrusted, certificate.Err.Error()
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return NotTLS, err.Error()
	case errors.As(err, &op) && op.Op == "local error": // as crypto/tls says it
		return Disturbed, op.Err.Error()
	}
	return "", ""
}
