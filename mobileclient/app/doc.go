// App is the genuine Harbour Bank app.
//
// It is a program of its own, which a device starts from an installed package and
// speaks to over inherited sockets ([keyladder/mobileclient/device/sdk]). What it was
// shipped with lies beside it, in its own executable: settings.json holds its client
// ID, keys, pins and the policy of each stage ([release.Settings]). It has no other
// configuration, no environment, and no way to the network but the device's.
//
// One program serves all stages of its release. Which protection it uses is decided
// once, from the stage's policy (plan.go); a policy that it does not know it refuses, so
// that it never does less than what was asked for.
package main
