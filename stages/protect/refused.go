package protect

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
)

// The client's own checks, under the names by which refusals are recorded.
const (
	CheckTLS  = "tls"         // the server is who the trust store says
	CheckPins = "pins"        // and its key is one that the app was shipped with
	CheckMAC  = "server-mac"  // the answer comes from somebody with the app's secret
	CheckSeal = "sealed-body" // and nobody else could read it
)

// refusal says which errors are refusals by a check.
type refusal struct {
	check string
	is    func(error) (reason string, ok bool)
}

// Refused tells which of the client's own checks, if any, made a call fail, and why. The
// error is that of the HTTP client, or of [Dressed.Check].
func Refused(err error) (check, reason string) {
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
var tlsRefusals = []refusal{{check: CheckTLS, is: func(err error) (string, bool) {
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &certificate):
		return certificate.Err.Error(), true
	case NotTLS(err):
		return err.Error(), true
	case errors.As(err, &op) && op.Op == "local error":
		// crypto/tls found fault with what arrived, such as a record that was changed.
		return op.Err.Error(), true
	}
	return "", false
}}}

// NotTLS says whether a call failed because the server does not speak TLS.
func NotTLS(err error) bool {
	var notTLS tls.RecordHeaderError
	return errors.As(err, &notTLS) || errors.Is(err, http.ErrSchemeMismatch)
}
