package guard

import "keyladder/stages/catalog"

// binding checks that app, device and user belong together. [catalog.NotBound] switches it
// off: what proves the user is good with every app.
//
// With [catalog.SessionOfApp] a session is good with the app that it was opened with, by
// the ID that the app has proven. So a session key that leaked is worth nothing without the
// secret of that very app. From [catalog.SessionOfDevice] on it is good on the device on
// which it was opened, too: who was banned with a device can't go on from another one.
//
//keyladder:code guard-binding
func (g *Guard) binding(c *call) *Refusal {
	toDevice := true
	switch c.policy.Call.Binding {
	case catalog.NotBound:
		return nil
	case catalog.SessionOfApp:
		toDevice = false
	case catalog.SessionOfDevice, catalog.SessionOfCall:
	default:
		return undecided("binding", c.policy.Call.Binding)
	}
	if c.policy.Call.UserProof != catalog.UserSession {
		return contradictory("sessions are bound to apps, but there are none")
	}
	if c.withoutSession() {
		return nil
	}
	if c.session == nil || c.app == nil {
		return sessionNotAccepted("there is no session, or no proven app, to look at")
	}
	if c.session.App != c.app.ID {
		return sessionNotAccepted("the session was opened with the app %q, and this is %q", c.session.App, c.appID())
	}
	if !toDevice {
		return nil
	}
	if c.device == nil {
		return contradictory("sessions are bound to devices, but calls name none")
	}
	if c.session.Device != c.device.Identifier {
		return sessionNotAccepted("the session was opened on the device %q, and this is %q", c.session.Device, c.device.Identifier)
	}
	return nil
}
