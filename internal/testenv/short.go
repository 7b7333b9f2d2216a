package testenv

import "testing"

// InSequence skips a test in short runs. Those are the ones with the race detector (.ci/run), in
// which everything takes several times as long: such a test does one thing after the other, or has
// processes do it that are not built with the detector, and has been run in full without it.
func InSequence(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing of it happens at once, or other processes do it")
	}
}
