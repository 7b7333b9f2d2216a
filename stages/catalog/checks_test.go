package catalog

import "testing"

// TestChecksAreDeclared finds names of checks that nobody has.
func TestChecksAreDeclared(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		for _, by := range attack.blockedBy {
			if by.check.Owner() == "" {
				t.Errorf("%s is blocked by %q, which is nobody's check", attack.Name, by.check)
			}
		}
	}
	seen := map[Check]Owner{}
	for _, o := range ownerships {
		for _, check := range o.checks {
			if other, ok := seen[check]; ok {
				t.Errorf("%q is the %s's and the %s's", check, other, o.owner)
			}
			seen[check] = o.owner
		}
	}
	if made := Check("made-up"); made.Owner() != "" || made.OnRecord() {
		t.Error("a check that is declared nowhere has an owner, or is on record")
	}
}
