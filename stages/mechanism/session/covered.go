package session

import (
	"net/http"

	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
)

// Covered is a digest of the fields that say who the user and the device of a call are. The
// app signs it with the call, and the server compares it with what arrives. Without it a
// signature says only what the app wants done: whoever can change calls on the way writes
// another user's session key, device or password into them, and has it done for that one.
//
// For a sign-in it is a hash of the password, and a fast one. Anyone who writes requests to a
// log and leaves Authorization out has to leave this out, too.
//
//keyladder:code session-covered
func Covered(header http.Header) (string, error) {
	return hawk.Covered(header, "Authorization", deviceid.Field, deviceid.GUIDField)
}
