// App is the genuine Harbour Bank app, and the app of the bank's staff: the client ID
// that it was packed with says which.
//
// It is a program of its own, which a device starts from an installed package and
// speaks to over inherited sockets ([keyladder/mobileclient/device/sdk]). The settings that it was
// shipped with lie beside it, in its own executable: its client ID, keys, pins and the
// policy of each stage ([release.Settings]), in release 2 with the secrets hidden, and from release 3
// on with none: each is another program (clear.go, hidden.go, none.go). It has no other configuration,
// no environment, and no way to the network but the device's.
//
// One program serves all stages of its release. A call goes this way:
//
//   - app.go says what a tap of the user asks the bank for;
//   - call.go makes the call: it has it dressed as the stage's call policy says, with who the
//     app is (caller.go) and who the installation and the user are, sends it, has the answer
//     checked, and says what may be sent twice. Dressing and checking are not the app's own
//     ([keyladder/stages/protect]); it refuses a policy with something that nobody there
//     knows, so that it never does less than what was asked for;
//   - connection.go keeps the way to the bank open, as the phone's settings want it;
//   - screen.go makes a screen of the answer, refused.go of what went wrong;
//   - record.go notes for the class what was sent and received.
//
// Before the first call registration.go makes the installation known to the server, and
// session.go signs the user in and out. Where users sign in on a page of an authorization server,
// oauth.go has it opened and takes the answer, and renewal.go keeps the access token fresh. Where
// the stage asks for it, integrity.go has the attestation service look at the app and keeps the client
// integrity token fresh; surroundings_linux.go and surroundings_other.go say what the app finds in its process.
//
// Storage: "device.STAGE" holds how the server knows the installation, "session.STAGE" the
// user's session, or refresh token. An access token stays in memory, and the password is kept
// nowhere: where there is a page for it, it never comes here.
package main
