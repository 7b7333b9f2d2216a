package main

import (
	"context"
	"errors"
	"net/url"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// failedCall makes a screen of a call that got no answer, or none that the app believes.
func (a *harbourApp) failedCall(exchange string, err error) sdk.Screen {
	if a.caller.Policy().Gateway == catalog.ThroughGateway {
		return a.failedAt("the mediator", exchange, err)
	}
	return a.failedAt("the API", exchange, err)
}

// failedAt is the same for a request to one of the bank's servers.
func (a *harbourApp) failedAt(server, exchange string, err error) sdk.Screen {
	if check, reason := protect.Refused(err); check != "" {
		return a.refuse(exchange, check, reason, advice(check, reason, err))
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // the URL may hold the key
	}
	a.report(sdk.Record{Kind: traffic.Note, Exchange: exchange, Summary: "no answer: " + err.Error()})
	if errors.Is(err, context.DeadlineExceeded) {
		return sdk.Screen{Error: "The bank did not answer in time. Try again in a moment."}
	}
	return sdk.Screen{Error: "The bank can't be reached (" + err.Error() + "). Check the phone's network settings, and that " + server + " runs."}
}

// refuse makes a screen of a refusal by the app itself, and records why.
func (a *harbourApp) refuse(exchange string, check catalog.Check, reason, advice string) sdk.Screen {
	a.report(sdk.Record{
		Kind: traffic.Note, Exchange: exchange, Summary: "refused by the app: " + string(check),
		Verdict: &traffic.Verdict{Check: check, Reason: reason},
	})
	return sdk.Screen{Check: check, Error: advice}
}

// advice is what the user can do about a refusal.
func advice(check catalog.Check, reason string, err error) string {
	switch check {
	case catalog.CheckPins:
		return "This is not the bank's server: its key is not one of those that this app knows. Nothing was sent. Turn off the proxy, or use another network."
	case catalog.CheckServerMAC:
		return "This answer does not prove that it comes from the bank, so the app does not believe it. Something between the phone and the bank has made or changed it."
	case catalog.CheckResponse:
		return "Nobody was signed in by this link: it is not the answer to a sign-in that this app has begun. If you have begun one, begin again."
	case catalog.CheckSealedAnswer:
		return "The bank's answer is not sealed as it should be, so the app does not use it. If this lasts, update the app."
	}
	switch protect.TLSFailure(err) {
	case protect.NotTrusted:
		return "The phone does not trust this server (" + reason + "), so nothing was sent. Turn off the proxy, or use another network. If it is a proxy of your own, add its CA to the phone's trust store."
	case protect.NotTLS:
		return "The server does not speak TLS, so nothing was sent. Check the phone's network settings."
	default:
		return "The connection was disturbed (" + reason + ") and was given up. Use another network."
	}
}
