package lab_test

import (
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

// TestExpiredIntegrityTokensAreRefused where they live for some seconds, so that somebody can wait for
// their end; the genuine app works all the same.
func TestExpiredIntegrityTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, stage := range attestedStages() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Settings: map[string]string{"integrity_lifetime": "4s"}})
			run, err := manage.Post[manage.Run](t.Context(), l.Station, "/genuine", map[string]any{"stage": stage.Slug, "reference": "expired", "strictly": true})
			if err != nil {
				t.Fatal(err)
			}
			servers := 0
			for _, call := range run.Calls {
				if !call.OK {
					t.Errorf("%s: %s", call.What, call.Error)
				}
				if strings.HasSuffix(call.What, "client integrity token that has expired") && call.Check == catalog.CheckIntegrity && call.Status == 401 {
					servers++
				}
			}
			want := 1 // the API
			if stage.Call.ClientAuth == catalog.Mediated {
				want++
			}
			if servers != want {
				t.Errorf("%d servers were shown an expired token, want %d: %+v", servers, want, run.Calls)
			}
		})
	}
}
