package guard

import "keyladder/stages/catalog"

// binding checks that app and user belong together. [catalog.NotBound] switches it off:
// what proves the user is good with every app.
//
// With [catalog.SessionOfApp] a session is good with the app that it was opened with, by
// the ID that the app has proven. So a session key that leaked is worth nothing without the
// secret of that very app. Which device the app runs on is not looked at.
//
//keyladder:code guard-binding
func (g *Guard) binding(c *call) *Refusal {
	switch c.policy.Binding {
	case catalog.NotBound:
		return nil
	case catalog.SessionOfApp, catalog.SessionOfDevice, catalog.SessionOfCall:
	default:
		return undecided("binding", c.policy.Binding)
	}
	if c.policy.UserProof != catalog.UserSession {
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
	return nil
}
