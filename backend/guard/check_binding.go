package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/session"
)

// signedFields checks that the fields which say who the user and the device are came with
// the request when it was signed. The MAC itself covers what is to be done, and none of
// them: without this check, whoever changes calls behind the end of TLS has a user's
// signed transfer booked with another user's session key.
//
// It comes before all checks that look at those fields. A password in a call that its app
// did not sign is not tried, and uses up nobody's attempts.
//
//keyladder:code guard-signed-fields
func signedFields(c *call) *Refusal {
	covered, err := session.Covered(c.request.Header)
	if err != nil {
		return refuse(problem.New(http.StatusBadRequest, "bad-request", "It can't be told who the user and the device are",
			"Send each field once."), "%v", err)
	}
	if c.received == nil || covered != c.received.Ext {
		return refuse(notAccepted("Sign the fields that say who the user and the device are, too.", hawk.Scheme),
			"the request was signed with another user or device, or without them")
	}
	return nil
}

// binding checks that app, device and user belong together.
//
// With [catalog.SessionOfApp] a session is good with the app that it was opened with, by
// the ID that the app has proven. So a session key that leaked is worth nothing without the
// secret of that very app. From [catalog.SessionOfDevice] on it is good on the device on
// which it was opened, too: who was banned with a device can't go on from another one.
//
//keyladder:code guard-binding
func binding(c *call) *Refusal {
	switch call := c.policies.Call; {
	case call.Binding == catalog.TokenOfKey:
		return tokenOfKey(c)
	case call.Binding == catalog.TokenOfDevice:
		return tokenOfDevice(c)
	case call.Binding.ForTokens():
		return tokenOfClient(c)
	}
	if c.session == nil || c.app == nil {
		return sessionNotAccepted("there is no session, or no proven app, to look at")
	}
	if c.session.App != c.app.ID {
		return sessionNotAccepted("the session was opened with the app %q, and this is %q", c.session.App, c.app.ID)
	}
	if c.policies.Call.Binding == catalog.SessionOfApp {
		return nil
	}
	if c.device == nil || c.session.Device != c.device.Identifier {
		return sessionNotAccepted("the session was opened on the device %q, and this is %q", c.session.Device, Caller{c}.Device())
	}
	return nil
}
