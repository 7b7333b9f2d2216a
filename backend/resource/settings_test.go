package resource_test

import (
	"testing"

	"keyladder/backend/guard"
	"keyladder/backend/resource"
	"keyladder/backend/sessions"
	"keyladder/internal/deployment"
)

// A deployment without changes behaves as the packages do by themselves.
func TestDefaultSettingsAreThePackages(t *testing.T) {
	t.Parallel()
	c := resource.Config{}.With(deployment.DefaultSettings)
	if c.Sessions != sessions.Default || c.Address != guard.DefaultAddressLimit || c.Overlap != 0 {
		t.Errorf("sessions %+v, addresses %+v, overlap %s", c.Sessions, c.Address, c.Overlap)
	}
}
