package guard

import (
	"net/http"

	"keyladder/internal/problem"
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
