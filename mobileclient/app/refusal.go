package main

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/sealed"
)

// refusal tells which of the app's checks, if any, made a call fail, why, and what the
// user can do about it.
func refusal(err error) (check catalog.Check, reason, advice string) {
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.Is(err, pin.ErrMismatch), errors.Is(err, pin.ErrUnverified):
		return catalog.CheckPins, err.Error(),
			"This is not the bank's server: its key is not one of those that this app knows. Nothing was sent. Turn off the proxy, or use another network."
	case isAny(err, hawk.ErrUnsigned, hawk.ErrResponseMalformed, hawk.ErrResponseMAC, hawk.ErrResponseHash, errNotTime):
		return catalog.CheckServerMAC, err.Error(),
			"This answer does not prove that it comes from the bank, so the app does not believe it. Something between the phone and the bank has made or changed it."
	case isAny(err, errNotSealed, sealed.ErrTooLong, sealed.ErrMalformed, sealed.ErrAlgorithm, sealed.ErrHeader, sealed.ErrOpen):
		return catalog.CheckSealedAnswer, err.Error(),
			"The bank's answer is not sealed as it should be, so the app does not use it. If this lasts, update the app."
	case errors.As(err, &certificate):
		return catalog.CheckTLS, certificate.Err.Error(),
			"The phone does not trust this server (" + certificate.Err.Error() + "), so nothing was sent. Turn off the proxy, or use another network. If it is a proxy of your own, add its CA to the phone's trust store."
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return catalog.CheckTLS, err.Error(),
			"The server does not speak TLS, so nothing was sent. Check the phone's network settings."
	case errors.As(err, &op) && op.Op == "local error":
		// crypto/tls found fault with what arrived, such as a record that was changed.
		return catalog.CheckTLS, op.Err.Error(),
			"The connection was disturbed (" + op.Err.Error() + ") and was given up. Use another network."
	}
	return "", "", ""
}

func isAny(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}
