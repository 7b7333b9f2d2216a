package guard

import "keyladder/stages/catalog"

// binding checks that app, device and user belong together.
//
// With [catalog.SessionOfApp] a session is good with the app that it was opened with, by
// the ID that the app has proven. So a session key that leaked is worth nothing without the
// secret of that very app. From [catalog.SessionOfDevice] on it is good on the device on
// which it was opened, too: who was banned with a device can't go on from another one.
//
//keyladder:code guard-binding
func binding(c *call) *Refusal {
	if c.policies.Call.Binding == catalog.TokenOfClient {
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
