// App is the genuine Harbour Bank app, and the app of the bank's staff: the client ID
// that it was packed with says which.
//
// It is a program of its own, which a device starts from an installed package and
// speaks to over inherited sockets ([keyladder/mobileclient/device/sdk]). What it was
// shipped with lies beside it, in its own executable: its client ID, keys, pins and the
// policy of each stage ([release.Settings]), from release 2 on with the secrets hidden: a
// program that finds them is another one than the one without (hidden.go, clear.go). It
// has no other configuration, no environment, and no way to the network but the device's.
//
// One program serves all stages of its release. Which protection it uses is decided
// once, from the stage's policy (plan.go); a policy that it does not know it refuses, so
// that it never does less than what was asked for:
//
//   - call.go makes calls, proof.go says with them who app, user and installation are, and
//     checks the answers;
//   - registration.go makes the installation known to the server;
//   - session.go signs the user in and out.
//
// Storage: "device.STAGE" holds how the server knows the installation, "session.STAGE" the
// user's session. The password is kept nowhere.
package main
